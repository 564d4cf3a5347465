package live

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"vonglau/devices"
)

var world = [4]float64{-180, -90, 180, 90}

func TestClustersCountEveryDeviceOnce(t *testing.T) {
	h := newHub(t, nil)
	clusters := NewClusters(h)
	city(h, 500) // five degrees of longitude
	h.ApplyDevice(&devices.Device{ID: "nowhere", Profile: "air", State: devices.Active})
	h.ApplyDevice(&devices.Device{ID: "gone", Profile: "air", State: devices.Retired, At: devices.Position{Lon: 106, Lat: 20}})
	h.Apply(readings(250, noon, 1)) // the other half never spoke
	h.state.sweep(noon)
	h.ApplyAlarm(Alarm{ID: "a", Device: "air-3", Priority: 2, Severity: 2, Open: true})
	h.ApplyAlarm(Alarm{ID: "b", Device: "air-4", Priority: 4, Severity: 4, Open: true})
	for zoom := 0; zoom <= MaxCluster; zoom++ {
		cells, err := clusters.In(world, zoom, nil, noon)
		if err != nil {
			t.Fatal(err)
		}
		n, silent, by := 0, 0, [5]int{}
		for _, c := range cells {
			n += c.Devices
			silent += c.Silent
			sum := 0
			for s, k := range c.By {
				by[s] += k
				sum += k
			}
			if sum != c.Devices {
				t.Errorf("zoom %d: a cell of %d devices counts %d by severity", zoom, c.Devices, sum)
			}
			if c.At.Lon < c.Box[0] || c.At.Lon > c.Box[2] || (c.Devices == 1) != (c.Only != "") {
				t.Errorf("zoom %d: cell %+v", zoom, c)
			}
		}
		if n != 500 || silent != 250 || by != [5]int{498, 0, 1, 0, 1} {
			t.Errorf("zoom %d: %d devices, %d silent, %v by severity; want 500, 250", zoom, n, silent, by)
		}
	}
	whole, _ := clusters.In(world, 5, nil, noon)
	fine, _ := clusters.In(world, 12, nil, noon)
	if len(whole) >= len(fine) || len(fine) < 250 {
		t.Errorf("%d cells far away, %d near: they do not part", len(whole), len(fine))
	}
	i := slices.IndexFunc(whole, func(c Cluster) bool { return c.By[4] == 1 })
	if i < 0 || whole[i].Worst != 2 {
		t.Errorf("the cell of a 2 and a 4 is %+v; want the worst, 2", whole)
	}
}

func TestClustersOfAView(t *testing.T) {
	h := newHub(t, nil)
	clusters := NewClusters(h)
	city(h, 100)
	h.ApplyDevice(&devices.Device{ID: "bus-1", Profile: "bus", State: devices.Active})
	bus := message("bus-1", noon, noon, "speed", 20.0)
	bus.Observations[0].At = devices.Position{Lon: 106.005, Lat: 20.4}
	h.Apply([]*devices.Message{bus})
	count := func(view [4]float64, hide ...string) (n int) {
		cells, err := clusters.In(view, 16, hide, noon)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cells {
			n += c.Devices
		}
		return n
	}
	if got := count([4]float64{105.995, 20, 106.095, 21}); got != 11 {
		t.Errorf("%d devices in a tenth of the line; want 10 and a bus", got)
	}
	if got := count(world, ""); got != 0 { // the test's profiles have no class
		t.Errorf("%d devices of hidden classes", got)
	}
	if got := count([4]float64{170, -90, -170, 90}); got != 0 {
		t.Errorf("%d devices around the date line", got)
	}
	if got := count([4]float64{100, -90, -170, 90}); got != 101 {
		t.Errorf("%d devices from 100° east over the date line; want all 101", got)
	}
	for _, view := range [][4]float64{{math.NaN(), 0, 1, 1}, {0, 2, 1, 1}, {0, 0, math.Inf(1), 1}} {
		if _, err := clusters.In(view, 3, nil, noon); err == nil {
			t.Errorf("a view of %v was taken", view)
		}
	}
	for _, zoom := range []int{-1, MaxCluster + 1} {
		if _, err := clusters.In(world, zoom, nil, noon); err == nil {
			t.Errorf("zoom %d was taken", zoom)
		}
	}
}

// Within a second all share one look at the devices; after it a change shows.
func TestClustersAreSharedForASecond(t *testing.T) {
	h := newHub(t, nil)
	clusters := NewClusters(h)
	city(h, 10)
	total := func(at time.Time) (n int) {
		cells, _ := clusters.In(world, 3, nil, at)
		for _, c := range cells {
			n += c.Devices
		}
		return n
	}
	first := total(noon)
	city(h, 20)
	if again := total(noon.Add(900 * time.Millisecond)); first != 10 || again != 10 {
		t.Errorf("%d, then %d devices; want the same 10 within a second", first, again)
	}
	if later := total(noon.Add(time.Second)); later != 20 {
		t.Errorf("%d devices a second later; want 20", later)
	}
	for i := range 3 * maxGrids {
		if _, err := clusters.In(world, 3, []string{fmt.Sprint("class-", i)}, noon); err != nil {
			t.Fatal(err)
		}
	}
	if len(clusters.grids) > maxGrids {
		t.Errorf("%d grids are kept; at most %d may be", len(clusters.grids), maxGrids)
	}
}

func TestValuesOfSaysWhatIsStale(t *testing.T) {
	h := newHub(t, nil)
	city(h, 4)
	h.Apply([]*devices.Message{
		message("air-0", noon, noon, "pm25", 30.0),
		message("air-1", noon.Add(-time.Minute), noon.Add(-time.Minute), "pm25", 40.0), // silent by now
		// Speaks, but only of something else: its dust is an hour old.
		message("air-2", noon.Add(-time.Hour), noon.Add(-time.Hour), "pm25", 50.0),
		message("air-2", noon, noon, "temperature", 25.0),
	})
	stale := map[devices.ID]bool{}
	for _, v := range h.ValuesOf("pm25", noon) {
		stale[v.Device] = v.Stale
	}
	if len(stale) != 3 || stale["air-0"] || !stale["air-1"] || !stale["air-2"] {
		t.Errorf("stale: %v; want air-1 and air-2 of three", stale)
	}
	if h.ValuesOf("no-such", noon) != nil {
		t.Error("values of a quantity that is not there")
	}
}

// BenchmarkClusters is one look at 200,000 devices, which happens once a second
// for each zoom that somebody looks at.
func BenchmarkClusters(b *testing.B) {
	h := newHub(b, nil)
	list := make([]*devices.Device, 200_000)
	for i := range list {
		list[i] = &devices.Device{ID: devices.ID(fmt.Sprint("d-", i)), Profile: "air", State: devices.Active,
			At: devices.Position{Lon: 106 + float64(i%500)*0.001, Lat: 20 + float64(i/500)*0.001}}
	}
	h.ApplyDevice(list...)
	for _, zoom := range []int{8, 12} {
		b.Run(fmt.Sprint("zoom", zoom), func(b *testing.B) {
			b.ReportAllocs()
			cells := 0
			for b.Loop() {
				cells = len(h.gather(zoom, nil))
			}
			b.ReportMetric(float64(cells), "cells")
		})
	}
}
