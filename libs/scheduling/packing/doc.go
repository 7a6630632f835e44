// Package packing plans which machines to launch for pods that wait: the cheapest mix within limits that serves them under
// kube-scheduler's rules. It is pure, as the rules are, and the plan depends on the problem alone.
//
// Pack goes through these steps:
//
//   - First fit. Nodes that are there, and then those on their way, take what the rules let them: pods that a machine was launched for
//     first, others by decreasing size (pack.go).
//   - Domains. Pods whose rules speak of a topology larger than a node are given a site, a set of options that such rules cannot
//     tell apart, by the same counters that judge them later; pods that must be together get one as a set (sites.go, bands.go,
//     bandprice.go). Where that may not be best, the plan is drafted again with others (othersites.go).
//   - Reduction. What is left becomes a covering problem: pods that are alike for every machine are one class with a count, pods that
//     follow others to their node are packed in units of a leader and its followers (units.go), anti-affinity and ports become
//     caps and conflicts (classes.go, roles.go), and spreads over nodes a cap for the skew (spreads.go).
//   - Covering. Package cover finds the cheapest machines by column generation, weight by weight (tiers.go). Where limits cut the
//     solution, it is made in stages, and with dearer nodes so that fewer are used (within.go, limit.go).
//   - Placement and repair. Counts are dealt out as pods (shares.go), and the rules judge every one of them again. A pod that a rule
//     displaces, because a count cannot say it, goes wherever there is room by now, and else on one more machine, the one whose
//     price is lowest for what it takes (draft.go, open.go). A machine that got no pod is not launched.
//   - Preferences. Soft constraints are granted kind by kind, as requirements of another draft, as long as the plan costs little more
//     (wishes.go, soft.go).
//
// Sure says of each launch whether a plan for more pods would contain it as well, by the duals of the covering problem (sure.go).
package packing
