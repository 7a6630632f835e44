package facts

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// shardsMax is how many ConfigMaps hold facts. Each holds 1 MiB.
const shardsMax = 8

// ConfigMaps are the names of the ConfigMaps that hold the facts of an outbox of that name.
func ConfigMaps(name string) []string {
	names := []string{name}
	for number := 2; number <= shardsMax; number++ {
		names = append(names, fmt.Sprintf("%s-%d", name, number))
	}
	return names
}

// shards are the ConfigMaps that hold facts, a key for each. Their methods are safe for concurrent use, and two replicas do not disturb
// each other.
type shards struct {
	store client.Writer
	live  client.Reader
	keys  []client.ObjectKey
	// open is the first shard that is not known to be full.
	open atomic.Int32
}

func newShards(store client.Writer, live client.Reader, key client.ObjectKey) *shards {
	s := &shards{store: store, live: live}
	for _, name := range ConfigMaps(key.Name) {
		s.keys = append(s.keys, client.ObjectKey{Namespace: key.Namespace, Name: name})
	}
	return s
}

// add puts texts into the first shard that has room for them.
func (s *shards) add(ctx context.Context, texts map[string]*string) error {
	for {
		at := s.open.Load()
		err := s.patch(ctx, s.keys[at], texts)
		if apierrors.IsNotFound(err) {
			err = s.create(ctx, s.keys[at], texts)
		}
		if isFull(err) && int(at) < len(s.keys)-1 {
			s.open.CompareAndSwap(at, at+1)
			continue
		}
		if err != nil {
			return fmt.Errorf("keep facts in ConfigMap %s: %w", s.keys[at], err)
		}
		return nil
	}
}

// isFull tells the answer that an object would be too large.
func isFull(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsRequestEntityTooLargeError(err)
}

// read returns what a shard holds.
func (s *shards) read(ctx context.Context, key client.ObjectKey) (map[string]string, error) {
	object := &corev1.ConfigMap{}
	if err := s.live.Get(ctx, key, object); client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("read ConfigMap %s: %w", key, err)
	}
	return object.Data, nil
}

// remove takes texts out of a shard, which has room then.
func (s *shards) remove(ctx context.Context, key client.ObjectKey, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	texts := map[string]*string{}
	for _, id := range ids {
		texts[id] = nil
	}
	if err := s.patch(ctx, key, texts); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("take facts out of ConfigMap %s: %w", key, err)
	}
	s.open.Store(0)
	return nil
}

// patch sets keys of a ConfigMap, or deletes those that are nil.
func (s *shards) patch(ctx context.Context, key client.ObjectKey, texts map[string]*string) error {
	body, err := json.Marshal(map[string]any{"data": texts})
	if err != nil {
		return err
	}
	return s.store.Patch(ctx, configMap(key), client.RawPatch(types.MergePatchType, body))
}

func (s *shards) create(ctx context.Context, key client.ObjectKey, texts map[string]*string) error {
	object := configMap(key)
	object.Data = map[string]string{}
	for id, text := range texts {
		object.Data[id] = *text
	}
	err := s.store.Create(ctx, object)
	if apierrors.IsAlreadyExists(err) {
		return s.patch(ctx, key, texts)
	}
	return err
}

func configMap(key client.ObjectKey) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
}
