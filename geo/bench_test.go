package geo

import (
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/paulmach/orb"
	"github.com/tidwall/rtree"

	"vonglau/devices"
)

// cpu is the processor time spent so far: what a core does, also where others
// share it.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkJoin puts a place into its ward by our index, by tidwall/rtree and
// orb, and by orb alone, in one run on one core:
//
//	go test -run - -bench Join ./geo
func BenchmarkJoin(b *testing.B) {
	for _, data := range []struct {
		name string
		text func(b *testing.B) string
	}{
		{"57 real wards", func(b *testing.B) string { return string(shared(b, "boundaries/namdinh_wards_2025.geojson")) }},
		{"129 real wards", func(b *testing.B) string { return string(shared(b, "boundaries/wards-2025_37_ninh_binh.geojson")) }},
		{"2500 generated wards of 501 corners", func(b *testing.B) string {
			_, text := tessellation(50, 125, rand.New(rand.NewPCG(1, 1)), 0.3)
			return text
		}},
	} {
		b.Run(data.name, func(b *testing.B) {
			l := open(b, newMemory(), Options{})
			if _, err := l.Import(b.Context(), "ward", strings.NewReader(data.text(b)), ImportOptions{Join: true}); err != nil {
				b.Fatal(err)
			}
			v := l.version("ward", "")
			places := make([]orb.Point, 1<<16)
			rng := rand.New(rand.NewPCG(2, 2))
			for i := range places { // inside some ward, as devices are
				for {
					p := orb.Point{
						v.bound.Min[0] + rng.Float64()*(v.bound.Max[0]-v.bound.Min[0]),
						v.bound.Min[1] + rng.Float64()*(v.bound.Max[1]-v.bound.Min[1]),
					}
					if got, _ := v.polygons.find(p, nil); len(got) > 0 {
						places[i] = p
						break
					}
				}
			}
			var tree rtree.RTreeG[int]
			for i := range v.zones {
				tree.Insert(v.zones[i].bound.Min, v.zones[i].bound.Max, i)
			}
			var dst []devices.ZoneRef
			for _, method := range []struct {
				name string
				join func(p orb.Point)
			}{
				{"ours", func(p orb.Point) { dst = l.Place(p[0], p[1], "2025-11-21", dst[:0]) }},
				{"rtree+orb", func(p orb.Point) {
					dst = dst[:0]
					tree.Search(p, p, func(_, _ [2]float64, i int) bool {
						if containedBy(v.zones[i].geom, p) {
							dst = append(dst, v.refs[i])
						}
						return true
					})
				}},
				{"orb", func(p orb.Point) {
					dst = dst[:0]
					for i := range v.zones {
						if containedBy(v.zones[i].geom, p) {
							dst = append(dst, v.refs[i])
						}
					}
				}},
			} {
				b.Run(method.name, func(b *testing.B) {
					b.ReportAllocs()
					hits := 0
					before := cpu(b)
					for i := 0; b.Loop(); i++ {
						method.join(places[i&(len(places)-1)])
						hits += len(dst)
					}
					if hits == 0 {
						b.Fatal("nothing was found")
					}
					b.ReportMetric(float64(b.N)/(cpu(b)-before).Seconds(), "lookups/cpu-s")
				})
			}
		})
	}
}
