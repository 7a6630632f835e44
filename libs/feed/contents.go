package feed

import (
	"reflect"

	"google.golang.org/protobuf/proto"

	feedv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/feed/v1"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// Prefixes of the keys, and the key that ends a batch.
const (
	prefixShape     = "shape."
	prefixNode      = "node."
	prefixPending   = "pending."
	prefixDaemonSet = "daemonset."
	prefixBudget    = "pdb."
	prefixNamespace = "namespace."
	keyMeta         = "meta"
)

// Contents is everything the feed says about a cluster. The shapes, nodes, pending and labels that it points
// to are not changed once made: a writer takes the same pointer for the same record.
type Contents struct {
	Shapes     map[scheduling.ShapeID]*feedv1.Shape
	Nodes      map[string]*scheduling.Node
	Pending    map[scheduling.ShapeID]*scheduling.Pending
	DaemonSets map[string]scheduling.ShapeID
	// Budgets are the disruptions that each PodDisruptionBudget, as namespace/name, allows now.
	Budgets map[string]int
	// Namespaces are the labels of each namespace.
	Namespaces map[string]map[string]string
	// Arriving counts pods that controllers are about to make.
	Arriving int
	// Arrived counts the pods without a node that were seen for the first time, since the writer began.
	Arrived uint64
	// Trouble says why the contents may be behind the cluster, empty while they are not. Readers do
	// not take such contents up, so they are stale before long.
	Trouble string
}

// visit calls take for each record. Equal sources are equal records.
func (c *Contents) visit(take func(key string, source any, encode func() proto.Message) error) error {
	for id, shape := range c.Shapes {
		if err := take(prefixShape+string(id), shape, func() proto.Message { return shape }); err != nil {
			return err
		}
	}
	for name, node := range c.Nodes {
		if err := take(prefixNode+name, node, func() proto.Message { return encodeNode(node) }); err != nil {
			return err
		}
	}
	for id, pending := range c.Pending {
		if err := take(prefixPending+string(id), pending, func() proto.Message { return encodePending(pending) }); err != nil {
			return err
		}
	}
	for name, shape := range c.DaemonSets {
		if err := take(prefixDaemonSet+name, shape, func() proto.Message { return &feedv1.DaemonSet{Shape: string(shape)} }); err != nil {
			return err
		}
	}
	for name, allowed := range c.Budgets {
		if err := take(prefixBudget+name, allowed, func() proto.Message { return &feedv1.Budget{DisruptionsAllowed: bounded(allowed)} }); err != nil {
			return err
		}
	}
	for name, labels := range c.Namespaces {
		if err := take(prefixNamespace+name, reflect.ValueOf(labels).UnsafePointer(), func() proto.Message { return &feedv1.Namespace{Labels: labels} }); err != nil {
			return err
		}
	}
	return nil
}

// bounded keeps a count within what a record holds.
func bounded(count int) int32 { return int32(min(count, 1<<30)) }
