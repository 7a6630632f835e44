// Package differential compares the planner's engine with kube-scheduler's own plugins, pod by pod and
// node by node, on random clusters. The engine must never say that a pod fits where the scheduler says
// that it does not: a machine would be launched that helps nobody, or removed under a pod that fits
// nowhere else. The other way round it may err once in a thousand.
//
//	go test ./differential -verdicts=1000000 -seed=42
//
// compares more, or elsewhere. A difference is printed as the smallest cluster that still shows it.
package differential
