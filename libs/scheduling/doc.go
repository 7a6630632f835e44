// Package scheduling is the model of the scheduling engine and its rules with state: what pods ask for, and where they fit.
//
// It is pure: every function depends on its arguments alone, so the same input gives the same answer whatever the order of maps.
// Pods are handled as shapes and counts, never one by one.
//
//   - Model. A pod becomes a Shape, everything about it that matters (shape.go, constraints.go, volumes.go, protection.go), and a
//     Shape an Item, with its selectors parsed and its terms named (item.go). Nodes are as they are, or as an offering and the
//     group's template say that they will be (template.go), with room held back for DaemonSets' pods (daemons.go).
//   - Filter. State.Judge asks what kube-scheduler's Filter plugins ask, in a fixed order, and Explain puts a refusal into words
//     (rules.go, explain.go). What labels and taints decide is judged once for each class of nodes that no item can tell apart.
//   - Domains. Nodes with the same value of a topology key are one domain. A Counter counts, for each domain, the pods that a term
//     of affinity, anti-affinity or topology spread is about, and is kept up to date with each pod that is placed, so that a
//     judgement looks at numbers and not at pods (topology.go, counters.go). Anchors find the terms that may be about an item
//     without holding each against each (anchors.go).
//   - Skew. A topology spread constraint compares a domain with the emptiest one, which a histogram of domains by their number of
//     pods tells at once (topology.go).
//   - Simulation. Pods are placed and taken back, and nodes come and go; Try undoes what came to nothing (state.go, try.go).
//
// Who packs or evacuates sees the rules through a Subject, an item under the rules of one State, its Counters, and a Prospect, a
// node that is not there yet. The rooms beside this package know each other in one direction:
//
//   - cover solves the covering problem, and knows numbers only;
//   - packing plans what to launch, with the rules of this package and the solutions of cover;
//   - evacuation finds out which nodes can go, with the rules of this package.
//
// The observer needs the model alone, and links no other room.
package scheduling
