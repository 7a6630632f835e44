package feed_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"

	feedv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/feed/v1"
	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/bus/natstest"
	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// bigContents is a cluster of 1,000 nodes with 30 pods each, of 300 shapes.
func bigContents(b *testing.B) *feed.Contents {
	b.Helper()
	c := &feed.Contents{Shapes: map[scheduling.ShapeID]*feedv1.Shape{}, Nodes: map[string]*scheduling.Node{}}
	var ids []scheduling.ShapeID
	for i := range 300 {
		s := elaborate()
		s.Requests[corev1.ResourceCPU] = int64(i)
		id, record := encode(b, s)
		ids, c.Shapes[id] = append(ids, id), record
	}
	for i := range 1000 {
		n := bigNode(i)
		for j := range 30 {
			n.Pods[ids[(30*i+j)%len(ids)]]++
		}
		c.Nodes[n.Name] = n
	}
	return c
}

func bigNode(i int) *scheduling.Node {
	n := &scheduling.Node{
		Name: fmt.Sprintf("node-%d", i), Labels: map[string]string{}, Ready: true, Pods: map[scheduling.ShapeID]int{},
		Allocatable: scheduling.Resources{corev1.ResourceCPU: 8000, corev1.ResourceMemory: 32 << 30, corev1.ResourcePods: 110},
	}
	for _, key := range []string{corev1.LabelHostname, corev1.LabelTopologyZone, corev1.LabelTopologyRegion, corev1.LabelOSStable, corev1.LabelArchStable} {
		n.Labels[key] = n.Name
	}
	return n
}

// BenchmarkWriteOneNode is a batch in which one of 1,000 nodes has changed.
func BenchmarkWriteOneNode(b *testing.B) {
	writer, c := benchWriter(b), bigContents(b)
	i := 0
	for b.Loop() {
		i++
		n := *c.Nodes["node-0"]
		n.Unschedulable = i%2 == 0
		c.Nodes["node-0"] = &n
		if err := writer.Write(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWriteEverything is a batch in which each of 1,000 nodes has changed.
func BenchmarkWriteEverything(b *testing.B) {
	writer, c := benchWriter(b), bigContents(b)
	i := 0
	for b.Loop() {
		i++
		for name, node := range c.Nodes {
			n := *node
			n.Unschedulable = i%2 == 0
			c.Nodes[name] = &n
		}
		if err := writer.Write(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}

func benchWriter(b *testing.B) *feed.Writer {
	b.Helper()
	b.ReportAllocs()
	js := natstest.StartServer(b).Connect()
	if err := bus.Provision(b.Context(), js, nil); err != nil {
		b.Fatal(err)
	}
	return feed.NewWriter(feed.OpenBucket(js, bus.FeedBucket))
}

// BenchmarkEncodeShape is a shape with every field.
func BenchmarkEncodeShape(b *testing.B) {
	s := elaborate()
	b.ReportAllocs()
	for b.Loop() {
		encode(b, s)
	}
}
