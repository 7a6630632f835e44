package scheduling

// promising leaves out the options of which no pattern can be worth enough to join a relaxation. Whatever weights are given
// to resources, a machine's pods are worth at most the weight of its room times the largest worth of a pod for its weight;
// of all directions that are compared the lowest such bound counts.
func (f *filler) promising(y []float64, left []int32, options []int) []int {
	bound := make([]float64, len(options))
	for s, scale := range f.scales {
		density := 0.0
		for i := range f.classes {
			if left[i] <= 0 || y[i] <= 0 {
				continue
			}
			size := epsilon
			for d, need := range f.classes[i].needs {
				size += float64(need) * scale[d]
			}
			density = max(density, y[i]/size)
		}
		for k, o := range options {
			room := epsilon
			for d, free := range f.options[o].free {
				room += float64(free) * scale[d]
			}
			if worth := density * room; s == 0 || worth < bound[k] {
				bound[k] = worth
			}
		}
	}
	f.effort -= len(f.scales) * (len(f.classes) + len(options)) / 4
	var out []int
	for k, o := range options {
		if bound[k] > f.options[o].cost*closeEnough {
			out = append(out, o)
		}
	}
	return out
}
