// Package simulation is the cluster as a decision sees it: which Nodes there are and will be, what each will have, and which pods
// are on it or are about to be.
//
// A Cluster is made from a fleet snapshot. Nodes of machines that leave are not in it, machines on their way are there as what
// their offering promises, and a Node that joined a moment ago counts as what Nodes of its kind turned out to be: allocatable,
// attach limits, labels, taints, and the pods of DaemonSets and static pods. That is learned from the Nodes that are there and
// remembered.
//
// On it deciders ask whether pods fit on a new Node (Option), whether the pods of a Node fit elsewhere (Evacuation), which machines
// work or fail (Works, Survey), and what the guards of a retirement judge (View). When to launch and when to retire is theirs.
package simulation
