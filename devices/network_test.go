package devices

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// keptStore is a Store whose content outlives whoever writes to it.
type keptStore struct {
	mu      sync.Mutex
	entries map[string][]byte
	fail    error
}

func newKeptStore() *keptStore { return &keptStore{entries: map[string][]byte{}} }

func (s *keptStore) Load(_ context.Context, each func(string, []byte) error) error {
	s.mu.Lock()
	entries := maps.Clone(s.entries)
	s.mu.Unlock()
	for k, v := range entries {
		if err := each(k, v); err != nil {
			return err
		}
	}
	return nil
}

func (s *keptStore) Put(ctx context.Context, key string, value []byte) error {
	return s.PutAll(ctx, map[string][]byte{key: value})
}

func (s *keptStore) PutAll(_ context.Context, entries map[string][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	maps.Copy(s.entries, entries)
	return nil
}

func (s *keptStore) Delete(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.entries, key)
	return nil
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

type testNetwork struct {
	*Network
	t        *testing.T
	register *Register
	prefixes *Prefixes
	store    *keptStore
	seq      uint64
}

func newTestNetwork(t *testing.T, ids ...ID) *testNetwork {
	t.Helper()
	register, err := OpenRegister(t.Context(), newKeptStore(), DefaultCatalogue())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if _, err := register.Add(t.Context(), Device{ID: id, Profile: "gateway"}); err != nil {
			t.Fatal(err)
		}
	}
	prefixes, err := OpenPrefixes(t.Context(), newKeptStore())
	if err != nil {
		t.Fatal(err)
	}
	n := &testNetwork{t: t, register: register, prefixes: prefixes, store: newKeptStore()}
	n.open()
	return n
}

func (n *testNetwork) open() {
	n.t.Helper()
	var err error
	if n.Network, err = OpenNetwork(n.t.Context(), n.store, n.register, n.prefixes); err != nil {
		n.t.Fatal(err)
	}
}

func testMessage(id ID, from string, at time.Time, size int) *Message {
	m := &Message{Device: id, Via: ViaMQTT, Received: at, Size: size, Observations: []Observation{{Values: make([]Value, 2)}}}
	if from != "" {
		m.From = netip.AddrPortFrom(netip.MustParseAddr(from), 4711)
	}
	return m
}

func (n *testNetwork) message(id ID, from string, at time.Time, size int) {
	n.seq++
	n.Apply(n.seq, []*Message{testMessage(id, from, at, size)}, nil, nil)
}

func (n *testNetwork) node(id ID) Node {
	n.t.Helper()
	node, ok := n.Node(id)
	if !ok {
		n.t.Fatalf("nothing is known of %s", id)
	}
	return node
}

func TestNetworkRemembersAddresses(t *testing.T) {
	n := newTestNetwork(t, "gw-1")
	n.message("gw-1", "2001:db8:1::1", noon, 100)
	n.message("gw-1", "2001:db8:2::1", noon.Add(time.Minute), 50)
	n.message("gw-1", "2001:db8:1::1", noon.Add(2*time.Minute), 7)
	node := n.node("gw-1")
	want := []AddressUse{
		{netip.MustParseAddr("2001:db8:1::1"), noon, noon.Add(2 * time.Minute), "mqtt", Traffic{2, 4, 107}},
		{netip.MustParseAddr("2001:db8:2::1"), noon.Add(time.Minute), noon.Add(time.Minute), "mqtt", Traffic{1, 2, 50}},
	}
	if !reflect.DeepEqual(node.Addresses, want) {
		t.Errorf("addresses\n%+v, want\n%+v", node.Addresses, want)
	}
	if node.Total != (Traffic{3, 6, 157}) || !node.First.Equal(noon) || !node.Last.Equal(noon.Add(2*time.Minute)) {
		t.Errorf("got %+v", node)
	}
	// A device with privacy addresses has a new one each day, for ever.
	for i := range 3 * MaxAddresses {
		n.message("gw-1", fmt.Sprintf("2001:db8:3::%x", i+1), noon.Add(time.Hour), 1)
	}
	node = n.node("gw-1")
	if len(node.Addresses) != MaxAddresses || node.Addresses[0].Address.String() != "2001:db8:3::30" || node.Older != 2*MaxAddresses+2 {
		t.Errorf("%d addresses, the newest %s, %d older", len(node.Addresses), node.Addresses[0].Address, node.Older)
	}
}

// TestNetworkLeavesDrillsOut: what devices of a drill send is their own traffic,
// and of no site and no prefix.
func TestNetworkLeavesDrillsOut(t *testing.T) {
	n := newTestNetwork(t, "gw-1")
	if _, err := n.register.Add(t.Context(), Device{ID: "drill-gw", Profile: "gateway", Exercise: "flood-1"}); err != nil {
		t.Fatal(err)
	}
	if err := n.prefixes.Set(t.Context(), []Prefix{{Prefix: netip.MustParsePrefix("2001:db8:1::/48"), Name: "Trạm 1", Kind: "site"}}); err != nil {
		t.Fatal(err)
	}
	from := netip.MustParseAddrPort("[2001:db8:1::9]:9")
	n.message("gw-1", "2001:db8:1::1", noon, 100)
	n.message("drill-gw", "2001:db8:1::9", noon, 1000)
	n.message("drill-gw", "2001:db8:9::9", noon, 1000)
	n.seq++
	n.Apply(n.seq, nil, nil, []*Refusal{
		{Device: "drill-gw", Reason: ReasonMalformed, At: noon, From: from},
		{Device: "gw-1", Reason: ReasonMalformed, At: noon, From: from},
	})
	registered, others := n.ByPrefix()
	if len(registered) != 1 || registered[0].Traffic != (Traffic{1, 2, 100}) || registered[0].Refusals != 1 || len(others) != 0 {
		t.Errorf("prefixes %+v, others %+v", registered, others)
	}
	if own := n.node("drill-gw"); own.Total != (Traffic{2, 4, 2000}) || own.Refusals[ReasonMalformed] != 1 {
		t.Errorf("its own %+v", own)
	}
}

func TestNetworkCountsLinksAndRefusals(t *testing.T) {
	n := newTestNetwork(t, "gw-1")
	from := netip.MustParseAddrPort("[2001:db8::1]:9")
	status := func(state LinkState, reason string) {
		n.seq++
		n.Apply(n.seq, nil, []*Status{{Device: "gw-1", Via: ViaMQTT, From: from, At: noon, State: state, Reason: reason}}, nil)
	}
	status(LinkOnline, "")
	status(LinkOnline, "") // the device's own word for it
	status(LinkOffline, LastWill)
	status(LinkOffline, "connection lost")
	status(LinkOnline, "")
	status(LinkOffline, GoodBye)
	status(LinkOnline, "")
	status(LinkOffline, "nothing heard for one and a half times 1m0s")
	n.seq++
	n.Apply(n.seq, nil, nil, []*Refusal{
		{Device: "gw-1", Reason: ReasonMalformed, At: noon, From: from},
		{Device: "gw-1", Reason: ReasonCloned, At: noon.Add(time.Second), From: from},
		{Device: "made-up", Reason: ReasonUnknownDevice, At: noon, From: from},
		{Reason: ReasonUnknownDevice, At: noon, From: from},
	})
	node := n.node("gw-1")
	want := LinkUse{State: "offline", At: noon, Reason: "nothing heard for one and a half times 1m0s", Connects: 3, Losses: 1, Wills: 1}
	if *node.Link != want {
		t.Errorf("link %+v, want %+v", *node.Link, want)
	}
	if !reflect.DeepEqual(node.Refusals, map[Reason]uint64{ReasonMalformed: 1, ReasonCloned: 1}) || !node.Cloned.Equal(noon.Add(time.Second)) {
		t.Errorf("refusals %v, cloned %v", node.Refusals, node.Cloned)
	}
	if _, known := n.Node("made-up"); known {
		t.Error("a made-up name has become a node")
	}
	if _, sites := n.ByPrefix(); len(sites) != 1 || sites[0].Refusals != 4 {
		t.Errorf("sites %+v, want one with 4 refusals", sites)
	}
}

// Whatever is saved when, and wherever the program ends, reading on from Next
// counts every entry once.
func TestNetworkCountsOnceOverCrashes(t *testing.T) {
	var ids []ID
	for i := range 40 {
		ids = append(ids, ID(fmt.Sprintf("gw-%d", i)))
	}
	n := newTestNetwork(t, ids...)
	const batches, size = 400, 5
	apply := func(b uint64) { // batch b holds the entries from (b-1)*size+1 to b*size
		var list []*Message
		for i := range uint64(size) {
			k := (b*size + i) % uint64(len(ids))
			list = append(list, testMessage(ids[k], fmt.Sprintf("2001:db8:%x::1", k), noon, 10))
		}
		n.Apply(b*size, list, nil, nil)
	}
	for b := uint64(1); b <= batches; b++ {
		apply(b)
		switch {
		case b%7 == 0:
			if err := n.Save(t.Context(), 17); err != nil {
				t.Fatal(err)
			}
		case b%31 == 0:
			n.store.fail = errors.New("disk full")
			if err := n.Save(t.Context(), 40); err == nil {
				t.Fatal("a failed save says nothing")
			}
			n.store.fail = nil
		}
		if b%50 == 0 { // a crash: what was not saved is gone
			n.open()
			for r := n.Next()/size + 1; r <= b; r++ {
				apply(r)
			}
		}
	}
	if err := n.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.open()
	if got := n.Next(); got != batches*size+1 {
		t.Errorf("after a clean end it reads on from %d, want %d", got, batches*size+1)
	}
	var total Traffic
	for _, id := range ids {
		total.add(n.node(id).Total)
	}
	want := Traffic{batches * size, 2 * batches * size, 10 * batches * size}
	if total != want {
		t.Errorf("nodes counted %+v, want %+v", total, want)
	}
	_, sites := n.ByPrefix()
	total = Traffic{}
	for _, s := range sites {
		total.add(s.Traffic)
	}
	if total != want || len(sites) != len(ids) {
		t.Errorf("%d sites counted %+v, want %+v", len(sites), total, want)
	}
}

func TestNetworkForgetsStrangers(t *testing.T) {
	n := newTestNetwork(t, "gw-1")
	n.message("gw-1", "2001:db8:cafe::1", noon.Add(-time.Hour), 10)
	var list []*Refusal
	for i := range maxSites + 1000 {
		a := netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0xff, byte(i >> 16), byte(i >> 8), byte(i), 1})
		list = append(list, &Refusal{Reason: ReasonBadCredential, At: noon.Add(time.Duration(i) * time.Millisecond), From: netip.AddrPortFrom(a, 1)})
	}
	n.seq++
	n.Apply(n.seq, nil, nil, list)
	_, sites := n.ByPrefix()
	if len(sites) > maxSites || len(sites) < maxSites/2 {
		t.Errorf("%d sites are remembered, at most %d", len(sites), maxSites)
	}
	if sites[0].Site.String() != "2001:db8:cafe::/64" {
		t.Errorf("strangers pushed out a site that speaks: first is %s", sites[0].Site)
	}
}

func TestTransition(t *testing.T) {
	n := newTestNetwork(t, "a6", "b4", "c64", "d-old", "e-never", "f-bridge", "g-retired")
	n.message("a6", "2001:db8:1::1", noon, 300)
	n.message("b4", "192.0.2.1", noon, 100)
	n.message("c64", "2001:db8:1::2", noon, 300)
	n.message("c64", "192.0.2.2", noon, 300)
	n.message("d-old", "2001:db8:1::3", noon.Add(-48*time.Hour), 0)
	n.message("f-bridge", "", noon, 5)
	n.message("g-retired", "192.0.2.9", noon, 1000)
	if err := n.register.Update(t.Context(), "g-retired", func(d *Device) error { d.State = Retired; return nil }); err != nil {
		t.Fatal(err)
	}
	r := n.Transition(noon.Add(-24*time.Hour), "")
	if want := map[Family]int{V6Only: 1, V4Only: 1, Dual: 1, Unheard: 2, Unknown: 1}; !reflect.DeepEqual(r.Nodes, want) {
		t.Errorf("nodes %v, want %v", r.Nodes, want)
	}
	if r.Share6 != 0.6 || len(r.List) != 6 {
		t.Errorf("share %v of %d nodes, want 0.6 of 6", r.Share6, len(r.List))
	}
	if r = n.Transition(noon.Add(-24*time.Hour), V4Only); len(r.List) != 1 || r.List[0].Device != "b4" || r.List[0].Address.String() != "192.0.2.1" {
		t.Errorf("v4-only: %+v", r.List)
	}
}

func TestPrefixesJudge(t *testing.T) {
	p, err := OpenPrefixes(t.Context(), newKeptStore())
	if err != nil {
		t.Fatal(err)
	}
	must := func(s string) netip.Prefix { return netip.MustParsePrefix(s) }
	err = p.Set(t.Context(), []Prefix{
		{Prefix: must("2001:db8::/48"), Kind: PrefixCity, Name: "city", Policy: SourceFlag},
		{Prefix: must("2001:db8:0:1::/64"), Kind: PrefixSite, Name: "Trạm bơm", Policy: SourceRefuse},
		{Prefix: must("2001:db8:ffff:1::/64"), Kind: PrefixSite, Name: "Trạm bơm", Policy: SourceFlag}, // being renumbered
		{Prefix: must("2001:db8:0:2::/64"), Kind: PrefixSite, Name: "Chợ Rồng"},
		{Prefix: must("198.51.100.0/24"), Kind: PrefixCarrier, Name: "SIM", Carrier: "A"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		site, from string
		want       SourcePolicy
	}{
		{"Trạm bơm", "2001:db8:0:1::5", SourceAny},
		{"Trạm bơm", "2001:db8:ffff:1::5", SourceAny},
		{"Trạm bơm", "2001:db8:0:2::5", SourceRefuse},
		{"Trạm bơm", "192.0.2.1", SourceRefuse},
		{"Chợ Rồng", "192.0.2.1", SourceAny},
		{"", "2001:db8:0:77::1", SourceAny},
		{"", "::ffff:198.51.100.9", SourceAny},
		{"", "2001:db8:1::1", SourceFlag},
		{"another site", "2001:db8:1::1", SourceFlag},
		{"", "fe80::1%eth0", SourceFlag},
	} {
		got, detail := p.Judge(&Device{Site: c.site}, netip.MustParseAddr(c.from))
		if got != c.want || (got == SourceAny) != (detail == "") {
			t.Errorf("site %q from %s: got %q (%s), want %q", c.site, c.from, got, detail, c.want)
		}
	}
	if got, _ := p.Judge(&Device{Site: "Trạm bơm"}, netip.Addr{}); got != SourceAny {
		t.Errorf("an unknown address is judged %q", got)
	}
	if e, ok := p.Find(netip.MustParseAddr("2001:db8:0:1::9")); !ok || e.Name != "Trạm bơm" {
		t.Errorf("narrowest prefix is %+v", e)
	}
	if _, ok := p.Find(netip.MustParseAddr("2001:db9::1")); ok {
		t.Error("found a prefix for an address outside of all")
	}
}

func TestPrefixesRefuse(t *testing.T) {
	p, err := OpenPrefixes(t.Context(), newKeptStore())
	if err != nil {
		t.Fatal(err)
	}
	good := Prefix{Prefix: netip.MustParsePrefix("2001:db8::/48"), Kind: PrefixCity, Name: "c"}
	if err := p.Set(t.Context(), []Prefix{good}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Prefix)
		want   string
	}{
		"none":       {func(p *Prefix) { p.Prefix = netip.Prefix{} }, "write an address"},
		"host bits":  {func(p *Prefix) { p.Prefix = netip.MustParsePrefix("2001:db8::1/48") }, "write 2001:db8::/48"},
		"too narrow": {func(p *Prefix) { p.Prefix = netip.MustParsePrefix("2001:db8::/65") }, "/64"},
		"mapped":     {func(p *Prefix) { p.Prefix = netip.MustParsePrefix("::ffff:192.0.2.0/120") }, "mapped"},
		"kind":       {func(p *Prefix) { p.Kind = "house" }, "house"},
		"name":       {func(p *Prefix) { p.Name = " " }, "name"},
		"policy":     {func(p *Prefix) { p.Policy = "drop" }, "drop"},
		"twice":      {func(p *Prefix) {}, "twice"},
	} {
		bad := good
		c.change(&bad)
		if err := p.Set(t.Context(), []Prefix{good, bad}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
	if len(p.List()) != 1 {
		t.Errorf("a refused change left %d entries, want the one before", len(p.List()))
	}
}

func BenchmarkNetworkApply(b *testing.B) {
	register, _ := OpenRegister(b.Context(), newKeptStore(), DefaultCatalogue())
	prefixes, _ := OpenPrefixes(b.Context(), newKeptStore())
	n, _ := OpenNetwork(b.Context(), newKeptStore(), register, prefixes)
	var list []*Message
	for i := range 1000 {
		id := ID(fmt.Sprintf("gw-%d", i))
		if _, err := register.Add(b.Context(), Device{ID: id, Profile: "gateway"}); err != nil {
			b.Fatal(err)
		}
		list = append(list, testMessage(id, fmt.Sprintf("2001:db8:%x::1", i%50), noon, 100))
	}
	seq := uint64(0)
	for b.Loop() {
		seq += uint64(len(list))
		n.Apply(seq, list, nil, nil)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(list)), "ns/message")
}
