package feed

// Decode reads one record as a replica does.
func Decode(key string, body []byte) error { return newState().apply(key, body, false) }
