package app

import (
	"crypto/sha256"
	"runtime"
	"sync"
	"unique"
	"weak"
)

// interned keeps one copy of equal values for as long as somebody uses it. It is safe for concurrent use.
type interned[T any] struct {
	mu     sync.Mutex
	values map[contentKey]weak.Pointer[T]
}

// contentKey is the content of a value, in short.
type contentKey [sha256.Size]byte

func newInterned[T any]() *interned[T] {
	return &interned[T]{values: map[contentKey]weak.Pointer[T]{}}
}

// of returns the copy of the value whose encoding is given, which must not be changed.
func (i *interned[T]) of(encoded []byte, value T) *T {
	key := contentKey(sha256.Sum256(encoded))
	i.mu.Lock()
	defer i.mu.Unlock()
	if kept := i.values[key].Value(); kept != nil {
		return kept
	}
	kept := &value
	i.values[key] = weak.Make(kept)
	runtime.AddCleanup(kept, i.forget, key)
	return kept
}

func (i *interned[T]) forget(key contentKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.values[key].Value() == nil {
		delete(i.values, key)
	}
}

// intern returns the one copy of a text that many objects name.
func intern[T ~string](text T) T { return T(unique.Make(string(text)).Value()) }
