package scheduling

// change is one step of a simulation, for taking it back.
type change struct {
	kind  changeKind
	node  int
	item  *Subject
	count int32
}

type changeKind uint8

const (
	changePut changeKind = iota
	changeAdd
	changeRemove
)

func (s *State) record(c change) {
	if s.logging {
		s.log = append(s.log, c)
	}
}

// Try runs a step of the simulation and takes all of its changes back when it returns false.
func (s *State) Try(step func() bool) bool {
	outer, mark := s.logging, len(s.log)
	s.logging = true
	ok := step()
	if !ok {
		s.logging = false
		for i := len(s.log) - 1; i >= mark; i-- {
			s.undo(s.log[i])
		}
		s.log = s.log[:mark]
	}
	if s.logging = outer; !outer {
		s.log = s.log[:0]
	}
	return ok
}

func (s *State) undo(c change) {
	switch c.kind {
	case changePut:
		s.Put(c.item, c.node, -c.count)
	case changeAdd:
		s.withdraw(c.node)
		s.forget()
	case changeRemove:
		s.restore(c.node)
	}
}
