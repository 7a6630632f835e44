package app

// index finds values by a key that many of them share. A key without values takes no room.
type index[K, V comparable] map[K]map[V]struct{}

func (x index[K, V]) add(key K, value V) {
	if x[key] == nil {
		x[key] = map[V]struct{}{}
	}
	x[key][value] = struct{}{}
}

func (x index[K, V]) remove(key K, value V) {
	delete(x[key], value)
	if len(x[key]) == 0 {
		delete(x, key)
	}
}
