package workload

import "math/bits"

// python draws the numbers of Python's random.Random(seed), so that workloads are those of the generator
// that other planners were measured with: a Mersenne Twister (Matsumoto and Nishimura, 1998), seeded as CPython does.
type python struct {
	state [twisterWords]uint32
	next  int
}

const (
	twisterWords  = 624
	twisterMiddle = 397
)

func newPython(seed uint64) *python {
	key := []uint32{uint32(seed)}
	if high := uint32(seed >> 32); high != 0 {
		key = append(key, high)
	}
	p := &python{next: twisterWords}
	p.state[0] = 19650218
	for i := 1; i < twisterWords; i++ {
		p.state[i] = 1812433253*p.mixed(i) + uint32(i)
	}
	i := 1
	for step := range max(twisterWords, len(key)) {
		k := step % len(key)
		p.state[i] = (p.state[i] ^ p.mixed(i)*1664525) + key[k] + uint32(k)
		i = p.advance(i)
	}
	for range twisterWords - 1 {
		p.state[i] = (p.state[i] ^ p.mixed(i)*1566083941) - uint32(i)
		i = p.advance(i)
	}
	p.state[0] = 1 << 31
	return p
}

func (p *python) mixed(i int) uint32 { return p.state[i-1] ^ p.state[i-1]>>30 }

// advance goes round the words of the state but for the first, which takes over the last.
func (p *python) advance(i int) int {
	if i++; i < twisterWords {
		return i
	}
	p.state[0] = p.state[twisterWords-1]
	return 1
}

func (p *python) twist() {
	for i := range p.state {
		y := p.state[i]&(1<<31) | p.state[(i+1)%twisterWords]&(1<<31-1)
		p.state[i] = p.state[(i+twisterMiddle)%twisterWords] ^ y>>1
		if y&1 != 0 {
			p.state[i] ^= 0x9908b0df
		}
	}
	p.next = 0
}

func (p *python) uint32() uint32 {
	if p.next == twisterWords {
		p.twist()
	}
	y := p.state[p.next]
	p.next++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

// below draws a number from 0 to n-1 by taking as many bits as n has until they are below it.
func (p *python) below(n int) int {
	for width := bits.Len(uint(n)); ; {
		if r := int(p.uint32() >> (32 - width)); r < n {
			return r
		}
	}
}

// choice is Python's random.choice.
func choice[T any](p *python, from []T) T { return from[p.below(len(from))] }
