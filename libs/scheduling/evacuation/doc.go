// Package evacuation finds out which nodes can go: whether the pods of each find a place on others, by the rules of package scheduling.
//
// A node counts as gone while its pods look for a place; if one finds none the node stays, and the state is as it was.
//
//   - First fit, decreasing. The largest pods look first, and the fullest nodes are tried first, so that others become empty. Targets
//     that can take no pod of a shape any more, whatever else changes, are not looked at again (evacuation.go).
//   - Promotion. Pods that found no place look before the others in the next try; and pods look again once others came that they want
//     to be with, or that even out the skew of their spread (rehouse.go).
//   - Sets. Pods that follow each other move as a set to a domain that takes all of it, or are divided, leaders with their share of
//     followers.
//   - Search. For a few pods every way is tried, within a bound.
package evacuation
