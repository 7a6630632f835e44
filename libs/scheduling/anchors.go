package scheduling

import (
	"slices"
	"sort"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// anchor is a namespace, and mostly a label in it, by which items and the terms that may mean them find each other
// without each being held against each.
type anchor struct{ namespace, key, value string }

// anchorsOf are those of which every item has one that a selector in some namespaces can mean.
func anchorsOf(namespaces []string, selector labels.Selector) []anchor {
	requirements, some := selector.Requirements()
	if !some {
		return nil // it means nothing
	}
	var out []anchor
	for _, namespace := range namespaces {
		out = append(out, anchor{namespace: namespace})
	}
	for _, r := range requirements {
		switch r.Operator() {
		case selection.In, selection.Equals, selection.DoubleEquals:
			out = out[:0]
			for _, namespace := range namespaces {
				for _, value := range slices.Sorted(mapKeys(r.Values())) {
					out = append(out, anchor{namespace, r.Key(), value})
				}
			}
			return out
		}
	}
	return out
}

// anchors are the ones that an item has.
func (i *Item) anchors() []anchor {
	out := []anchor{{namespace: i.Shape.Namespace}}
	for key, value := range i.Shape.Labels {
		out = append(out, anchor{i.Shape.Namespace, key, value})
	}
	return out
}

// anchored finds things of one sort by anchor, in the order in which they were added.
type anchored struct {
	at map[anchor][]int
	// everywhere are those that may concern any item.
	everywhere []int
}

// add files the number of a thing, which is larger than all before.
func (a *anchored) add(number int, anchors []anchor, everywhere bool) {
	if everywhere {
		a.everywhere = append(a.everywhere, number)
		return
	}
	if a.at == nil {
		a.at = map[anchor][]int{}
	}
	for _, at := range anchors {
		a.at[at] = append(a.at[at], number)
	}
}

// since calls a function for the numbers from one on that may concern an item.
func (a *anchored) since(from int, anchors []anchor, each func(int)) {
	tail := func(numbers []int) {
		for _, n := range numbers[sort.SearchInts(numbers, from):] {
			each(n)
		}
	}
	tail(a.everywhere)
	for _, at := range anchors {
		tail(a.at[at])
	}
}
