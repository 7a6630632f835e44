// Package cover solves a covering problem: the cheapest set of machines, of several sizes and prices, that holds all items of some
// classes. It knows numbers only, of pods and nodes nothing, and imports nothing but the standard library.
//
// Machines are filled by patterns, a number of items of each class that one machine holds, and the problem is to choose patterns
// so that every class is served (Gilmore and Gomory, 1961 and 1963). Solve goes through these steps:
//
//   - Column generation. The restricted master problem, the linear relaxation over the patterns found so far, is solved by the
//     simplex method (simplex.go). Its duals are what one more item of each class would cost. Pricing (pricing.go, exchange.go)
//     looks for patterns that are worth more at these duals than their machine costs, so that their reduced cost is below zero;
//     they join the master as columns, until there are none. Options of which a bound says that they have no such pattern are
//     not priced (promise.go).
//   - Diving (dive.go). The patterns that the relaxation uses most become machines of the solution, and what is left is relaxed
//     again, until nothing is left. A second dive, with a surcharge on each machine, leads to fewer and larger ones; the cheaper
//     solution counts.
//   - Value correction (correct.go), in the place of both where there are too many classes for a relaxation: machines are filled
//     greedily by what items are worth, and the worth is corrected by what they turned out to cost (Mukhacheva; Belov and
//     Scheithauer, 2007).
//   - Repair (repair.go). The machines that are worth least for their cost at the duals are taken apart and their items dived
//     again: a large neighbourhood search, also known as ruin and recreate.
//   - Merging (merge.go). Machines are done without whose items fit on others, or on larger ones that cost no more.
//
// None of it is exact, since pricing is a heuristic; on small problems one solution in fifteen is not optimal. All of it is
// bounded by effort, which counts steps and no time, and depends on the problem alone.
package cover
