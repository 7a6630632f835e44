package cover

// promising leaves out the options of which no pattern can be worth enough to join a relaxation. Whatever weights are given
// to resources, a machine's items are worth at most the weight of its room times the largest worth of a item for its weight;
// of all directions that are compared the lowest such bound counts.
func (f *pricer) promising(y []float64, left []int32, options []int) []int {
	bound := make([]float64, len(options))
	for s, scale := range f.scales {
		density := 0.0
		for i := range f.Classes {
			if left[i] <= 0 || y[i] <= 0 {
				continue
			}
			size := epsilon
			for d, need := range f.Classes[i].Needs {
				size += float64(need) * scale[d]
			}
			density = max(density, y[i]/size)
		}
		for k, o := range options {
			room := epsilon
			for d, free := range f.Options[o].Free {
				room += float64(free) * scale[d]
			}
			if worth := density * room; s == 0 || worth < bound[k] {
				bound[k] = worth
			}
		}
	}
	f.effort -= len(f.scales) * (len(f.Classes) + len(options)) / boundShare
	var out []int
	for k, o := range options {
		if bound[k] > f.Options[o].Cost*closeEnough {
			out = append(out, o)
		}
	}
	return out
}

// boundShare is how many products of a weight and an amount are one step of effort.
const boundShare = 4
