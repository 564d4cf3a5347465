package geo

import (
	"container/heap"
	"math"

	"github.com/paulmach/orb"
)

// weigh gives each position the weight below which a coarser drawing leaves it
// out: the square root of the area of the triangle it spans with its neighbours
// once all lighter ones are gone (Visvalingam and Whyatt 1993), in the unit of
// mercator, the world's width.
//
// Where polygons share a border they must leave out the same positions, or gaps
// open between wards at city zoom. So a position where borders part (its
// neighbours differ from polygon to polygon) is never left out; what lies between
// two of those is weighed from the positions alone, in whichever direction and
// from whichever polygon it is read; and draws are decided by position.
func weigh(pts []orb.Point, lines []run, rings bool) []float32 {
	w := &weigher{
		flat:   make([]orb.Point, len(pts)),
		id:     identify(pts),
		weight: make([]float32, len(pts)),
		prev:   make([]uint32, len(pts)),
		next:   make([]uint32, len(pts)),
		area:   make([]float64, len(pts)),
	}
	for i, p := range pts {
		w.flat[i] = mercator(p)
	}
	fixed := w.fixed(lines, rings)
	for _, l := range lines {
		w.line(l, fixed, rings)
	}
	return w.weight
}

type weigher struct {
	flat       []orb.Point
	id         []uint32 // equal positions have the id of the first of them
	weight     []float32
	prev, next []uint32
	area       []float64
	queue      lightest
}

// identify numbers positions so that equal ones have equal numbers.
func identify(pts []orb.Point) []uint32 {
	id := make([]uint32, len(pts))
	first := make(map[orb.Point]uint32, len(pts))
	for i, p := range pts {
		n, ok := first[p]
		if !ok {
			n = uint32(i)
			first[p] = n
		}
		id[i] = n
	}
	return id
}

// fixed finds the positions, by id, that are never left out: the ends of lines,
// and on rings those whose neighbours are not the same two everywhere.
func (w *weigher) fixed(lines []run, rings bool) []bool {
	fixed := make([]bool, len(w.id))
	type pair struct{ a, b uint32 }
	around := make([]pair, len(w.id))
	for i := range around {
		around[i] = pair{math.MaxUint32, math.MaxUint32}
	}
	for _, l := range lines {
		if !rings {
			fixed[w.id[l.first]], fixed[w.id[l.last]] = true, true
			continue
		}
		for i := l.first; i < l.last; i++ {
			before := l.last - 1
			if i > l.first {
				before = i - 1
			}
			n := pair{w.id[before], w.id[i+1]}
			if n.a > n.b {
				n.a, n.b = n.b, n.a
			}
			switch at := w.id[i]; around[at] {
			case pair{math.MaxUint32, math.MaxUint32}:
				around[at] = n
			case n:
			default:
				fixed[at] = true
			}
		}
	}
	return fixed
}

func (w *weigher) line(l run, fixed []bool, ring bool) {
	end := l.last
	if !ring {
		end++ // the last position of a ring is its first
	}
	left := int(end - l.first)
	w.queue = w.queue[:0]
	for i := l.first; i < end; i++ {
		w.prev[i], w.next[i] = i-1, i+1
		w.weight[i] = float32(math.Inf(1))
	}
	if ring {
		w.prev[l.first], w.next[end-1] = end-1, l.first
	}
	for i := l.first; i < end; i++ {
		if !fixed[w.id[i]] {
			w.area[i] = w.triangle(i)
			w.queue = append(w.queue, light{w.area[i], w.id[i], i})
		}
	}
	heap.Init(&w.queue)
	for len(w.queue) > 0 && left > 3 {
		l := heap.Pop(&w.queue).(light)
		if l.area != w.area[l.at] {
			continue // weighed again since
		}
		left--
		w.weight[l.at] = float32(math.Sqrt(l.area))
		w.area[l.at] = -1
		p, n := w.prev[l.at], w.next[l.at]
		w.next[p], w.prev[n] = n, p
		for _, i := range [2]uint32{p, n} {
			if !fixed[w.id[i]] {
				// Never lighter than what had to go first.
				w.area[i] = max(w.triangle(i), l.area)
				heap.Push(&w.queue, light{w.area[i], w.id[i], i})
			}
		}
	}
	if ring {
		w.weight[l.last] = w.weight[l.first]
	}
}

func (w *weigher) triangle(i uint32) float64 {
	a, b := w.prev[i], w.next[i]
	if w.id[a] > w.id[b] { // read either way, rounded the same
		a, b = b, a
	}
	p, q, r := w.flat[a], w.flat[i], w.flat[b]
	return math.Abs((q[0]-p[0])*(r[1]-p[1])-(r[0]-p[0])*(q[1]-p[1])) / 2
}

type light struct {
	area   float64
	id, at uint32
}

type lightest []light

func (q lightest) Len() int      { return len(q) }
func (q lightest) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q lightest) Less(i, j int) bool {
	if q[i].area != q[j].area {
		return q[i].area < q[j].area
	}
	return q[i].id < q[j].id
}
func (q *lightest) Push(x any) { *q = append(*q, x.(light)) }
func (q *lightest) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

// mercator projects to the unit square of web maps, y downwards (EPSG:3857).
func mercator(p orb.Point) orb.Point {
	lat := min(max(p[1], -85.05112878), 85.05112878)
	sin := math.Sin(lat * math.Pi / 180)
	return orb.Point{p[0]/360 + 0.5, 0.5 - math.Log((1+sin)/(1-sin))/(4*math.Pi)}
}
