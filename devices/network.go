package devices

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Traffic counts what came.
type Traffic struct {
	Messages uint64 `json:"messages"`
	Values   uint64 `json:"values"`
	Bytes    uint64 `json:"bytes"`
}

func (t *Traffic) add(o Traffic) {
	t.Messages += o.Messages
	t.Values += o.Values
	t.Bytes += o.Bytes
}

// AddressUse is one address a node spoke from.
type AddressUse struct {
	Address netip.Addr `json:"address"`
	First   time.Time  `json:"first,omitzero"`
	Last    time.Time  `json:"last,omitzero"`
	Via     string     `json:"via"` // the door it used last
	Traffic
}

// FamilyUse is what a node sent over IPv4 or over IPv6. Last is zero for never.
type FamilyUse struct {
	Last time.Time `json:"last,omitzero"`
	Traffic
}

// LinkUse is what is known of a node's sessions.
type LinkUse struct {
	State  string    `json:"state"`
	At     time.Time `json:"at"` // of its last change
	Reason string    `json:"reason,omitempty"`
	// Connects, Losses and Wills count sessions begun, sessions ended without a
	// good-bye of the node, and last wills published.
	Connects uint64 `json:"connects"`
	Losses   uint64 `json:"losses"`
	Wills    uint64 `json:"wills"`
}

// Node is what is known of one device as a node of the network.
type Node struct {
	First     time.Time         `json:"first,omitzero"` // it was first heard
	Last      time.Time         `json:"last,omitzero"`
	Via       string            `json:"via"` // the door of its last message
	Total     Traffic           `json:"total"`
	V6        FamilyUse         `json:"v6"`
	V4        FamilyUse         `json:"v4"`
	Addresses []AddressUse      `json:"addresses"` // the last used first
	Older     uint64            `json:"older"`     // addresses that were let go
	Refusals  map[Reason]uint64 `json:"refusals"`
	Link      *LinkUse          `json:"link,omitempty"`
	// Cloned is when its identity was last seen alternating between two
	// addresses, Elsewhere when it last spoke from where it does not belong.
	Cloned         time.Time `json:"cloned,omitzero"`
	Elsewhere      time.Time `json:"elsewhere,omitzero"`
	ElsewhereCount uint64    `json:"elsewhereCount,omitempty"`
}

// SiteUse is the traffic of one /64, or of one IPv4 address.
type SiteUse struct {
	Site     netip.Prefix `json:"site"`
	First    time.Time    `json:"first,omitzero"`
	Last     time.Time    `json:"last,omitzero"`
	Refusals uint64       `json:"refusals"`
	Traffic
}

const (
	// MaxDepth bounds the way up from a device over the nodes it hangs on; a
	// register may hold a ring.
	MaxDepth = 8
	// MaxAddresses is how many addresses are remembered of a node. A device with
	// privacy addresses has a new one each day (RFC 8981), so these are weeks.
	MaxAddresses = 16
	// maxSites bounds the sites: strangers make up prefixes.
	maxSites = 65_536
	// Entries are kept in networkShards pieces, so that a save writes what
	// changed and no piece of a large city outgrows a record of the store.
	networkShards = 1024
)

// Network counts how the city's nodes reach it: a fold over the journal, kept in
// a store. Each piece of it says up to where in the journal it counted, so that
// reading entries again counts none twice, and a crash loses none.
//
// Entries come from one reader, in order, by Apply; anybody may ask meanwhile.
type Network struct {
	register *Register
	prefixes *Prefixes
	store    Store

	mu     sync.RWMutex
	seq    uint64 // of the newest entry applied
	shards [networkShards]networkShard
	sites  int
	saving int // the shard to save next
}

type networkShard struct {
	seq   uint64 // of the newest entry counted here
	saved uint64 // what seq was when it was saved
	dirty bool
	nodes map[ID]*Node
	sites map[netip.Prefix]*SiteUse
}

// storedShard is a shard as it is kept.
type storedShard struct {
	Seq   uint64       `json:"seq"`
	Nodes map[ID]*Node `json:"nodes,omitempty"`
	Sites []*SiteUse   `json:"sites,omitempty"`
}

const (
	keyNetworkHead  = "head"
	networkShardKey = "shard."
)

// OpenNetwork loads what was counted. Next tells where to read on.
func OpenNetwork(ctx context.Context, store Store, r *Register, p *Prefixes) (*Network, error) {
	n := &Network{register: r, prefixes: p, store: store}
	for i := range n.shards {
		n.shards[i].nodes, n.shards[i].sites = map[ID]*Node{}, map[netip.Prefix]*SiteUse{}
	}
	err := store.Load(ctx, func(key string, value []byte) error {
		if key == keyNetworkHead {
			return json.Unmarshal(value, &n.seq)
		}
		var i int
		if _, err := fmt.Sscanf(key, networkShardKey+"%d", &i); err != nil || i < 0 || i >= networkShards {
			return nil
		}
		var stored storedShard
		if err := json.Unmarshal(value, &stored); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		sh := &n.shards[i]
		sh.seq, sh.saved = stored.Seq, stored.Seq
		for id, node := range stored.Nodes {
			if node != nil {
				sh.nodes[id] = node
			}
		}
		for _, s := range stored.Sites {
			sh.sites[s.Site] = s
			n.sites++
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("loading what is known of the network: %w", err)
	}
	return n, nil
}

// Next is the journal's sequence to read on from after Open.
func (n *Network) Next() uint64 {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.seq + 1
}

func shardOf(key string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return int(h.Sum32() % networkShards)
}

// counts gives the shard if the entries up to last are not in it yet.
func (n *Network) counts(key string, last uint64) *networkShard {
	sh := &n.shards[shardOf(key)]
	if last <= sh.seq {
		return nil
	}
	return sh
}

// Apply counts entries of the journal, last being the sequence of the newest.
func (n *Network) Apply(last uint64, messages []*Message, statuses []*Status, refusals []*Refusal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	// A batch is counted whole or not at all, so shards are marked at its end.
	var touched [networkShards]bool
	for _, m := range messages {
		t := Traffic{Messages: 1, Bytes: uint64(m.Size)}
		for i := range m.Observations {
			t.Values += uint64(len(m.Observations[i].Values))
		}
		if sh := n.counts(string(m.Device), last); sh != nil {
			n.message(sh, m, t)
			touched[shardOf(string(m.Device))] = true
		}
		if !n.drilled(m.Device) {
			n.site(m.From.Addr(), m.Received, last, &touched, func(s *SiteUse) { s.add(t) })
		}
	}
	for _, s := range statuses {
		if sh := n.counts(string(s.Device), last); sh != nil {
			n.status(sh, s)
			touched[shardOf(string(s.Device))] = true
		}
	}
	for _, r := range refusals {
		if sh := n.counts(string(r.Device), last); sh != nil && n.refusal(sh, r) {
			touched[shardOf(string(r.Device))] = true
		}
		if !n.drilled(r.Device) {
			n.site(r.From.Addr(), r.At, last, &touched, func(s *SiteUse) { s.Refusals++ })
		}
	}
	for i := range touched {
		if touched[i] {
			n.shards[i].seq, n.shards[i].dirty = last, true
		}
	}
	n.seq = max(n.seq, last)
}

// drilled reports whether a device is of a drill: what it sends is its own, and
// no site's nor prefix's traffic.
func (n *Network) drilled(id ID) bool {
	d, ok := n.register.Get(id)
	return ok && d.Exercise != ""
}

// node finds a registered device's entry.
func (n *Network) node(sh *networkShard, id ID, at time.Time) *Node {
	node := sh.nodes[id]
	if node == nil {
		if _, ok := n.register.Get(id); !ok {
			return nil
		}
		node = &Node{First: at, Refusals: map[Reason]uint64{}}
		sh.nodes[id] = node
	}
	return node
}

func (n *Network) message(sh *networkShard, m *Message, t Traffic) {
	node := n.node(sh, m.Device, m.Received)
	if node == nil {
		return
	}
	node.Last, node.Via = m.Received, m.Via.String()
	node.Total.add(t)
	from := m.From.Addr()
	if !from.IsValid() {
		return
	}
	family := &node.V6
	if from.Is4() {
		family = &node.V4
	}
	family.Last = m.Received
	family.add(t)
	use := node.address(from, m.Received, m.Via)
	use.add(t)
	if d, ok := n.register.Get(m.Device); ok {
		if policy, _ := n.prefixes.Judge(d, from); policy != SourceAny {
			node.Elsewhere = m.Received
			node.ElsewhereCount++
		}
	}
}

// address moves an address to the front, making room for a new one.
func (node *Node) address(a netip.Addr, at time.Time, via Via) *AddressUse {
	list := node.Addresses
	i := slices.IndexFunc(list, func(u AddressUse) bool { return u.Address == a })
	use := AddressUse{Address: a, First: at}
	switch {
	case i >= 0:
		use = list[i]
		copy(list[1:i+1], list[:i])
	case len(list) < MaxAddresses:
		list = append(list, AddressUse{})
		copy(list[1:], list)
	default:
		copy(list[1:], list)
		node.Older++
	}
	use.Last, use.Via = at, via.String()
	list[0] = use
	node.Addresses = list
	return &list[0]
}

func (n *Network) status(sh *networkShard, s *Status) {
	node := n.node(sh, s.Device, s.At)
	if node == nil {
		return
	}
	if node.Link == nil {
		node.Link = &LinkUse{}
	}
	l := node.Link
	was := l.State
	l.State, l.At, l.Reason = s.State.String(), s.At, s.Reason
	switch s.State {
	case LinkOnline:
		if was != l.State {
			l.Connects++
		}
		if s.From.IsValid() {
			node.address(s.From.Addr(), s.At, s.Via)
		}
	case LinkOffline:
		if s.Reason == LastWill {
			l.Wills++
		} else if was == LinkOnline.String() && s.Reason != GoodBye && !strings.HasPrefix(s.Reason, GoodBye+": ") {
			l.Losses++
		}
	}
}

// Reasons of a Status that are told apart.
const (
	LastWill = "last will"
	GoodBye  = "disconnected"
)

func (n *Network) refusal(sh *networkShard, r *Refusal) bool {
	if r.Device == "" {
		return false
	}
	node := n.node(sh, r.Device, r.At)
	if node == nil {
		return false // somebody made the name up
	}
	if node.Refusals == nil {
		node.Refusals = map[Reason]uint64{}
	}
	node.Refusals[r.Reason]++
	switch r.Reason {
	case ReasonCloned:
		node.Cloned = r.At
	case ReasonForeignPrefix:
		node.Elsewhere = r.At
		node.ElsewhereCount++
	}
	return true
}

// site counts for the /64 of an address.
func (n *Network) site(a netip.Addr, at time.Time, last uint64, touched *[networkShards]bool, count func(*SiteUse)) {
	if !a.IsValid() {
		return
	}
	p := SitePrefix(a)
	key := p.String()
	sh := n.counts(key, last)
	if sh == nil {
		return
	}
	s := sh.sites[p]
	if s == nil {
		if n.sites >= maxSites {
			n.forgetSites(at)
		}
		s = &SiteUse{Site: p, First: at}
		sh.sites[p] = s
		n.sites++
	}
	s.Last = at
	count(s)
	touched[shardOf(key)] = true
}

// forgetSites makes room: the sites that were silent longest go, an eighth of
// all, those that never sent a message first.
func (n *Network) forgetSites(now time.Time) {
	type place struct {
		shard int
		use   *SiteUse
	}
	var all []place
	for i := range n.shards {
		for _, s := range n.shards[i].sites {
			all = append(all, place{i, s})
		}
	}
	slices.SortFunc(all, func(a, b place) int {
		return cmp.Or(cmp.Compare(min(a.use.Messages, 1), min(b.use.Messages, 1)), a.use.Last.Compare(b.use.Last))
	})
	for _, p := range all[:len(all)/8+1] {
		delete(n.shards[p.shard].sites, p.use.Site)
		n.shards[p.shard].dirty = true
		n.sites--
	}
}

// Save keeps what changed, in at most parts of the whole a call: many small
// writes rather than one that everything waits for. parts of 0 means all.
func (n *Network) Save(ctx context.Context, parts int) error {
	if parts <= 0 {
		parts = networkShards
	}
	n.mu.Lock()
	entries := map[string][]byte{}
	saved := map[int]uint64{}
	for range networkShards {
		if len(entries) >= parts {
			break
		}
		i := n.saving
		n.saving = (n.saving + 1) % networkShards
		sh := &n.shards[i]
		if !sh.dirty {
			continue
		}
		stored := storedShard{Seq: sh.seq, Nodes: sh.nodes}
		for id := range sh.nodes {
			if _, ok := n.register.Get(id); !ok {
				delete(sh.nodes, id)
			}
		}
		for _, s := range sh.sites {
			stored.Sites = append(stored.Sites, s)
		}
		value, err := json.Marshal(stored)
		if err != nil {
			n.mu.Unlock()
			return fmt.Errorf("saving what is known of the network: %w", err)
		}
		entries[fmt.Sprintf("%s%d", networkShardKey, i)] = value
		saved[i] = sh.seq
		sh.dirty = false
	}
	// Everything up to head is in what is kept: a shard that is not has counted
	// since it was saved.
	head := n.seq
	for i := range n.shards {
		if n.shards[i].dirty {
			head = min(head, n.shards[i].saved)
		}
	}
	n.mu.Unlock()

	err := n.write(ctx, entries, head)
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, seq := range saved {
		if err != nil {
			n.shards[i].dirty = true
			continue
		}
		n.shards[i].saved = seq
	}
	return err
}

// write keeps the shards before the head: a head that is behind costs reading,
// one that is ahead would lose counts.
func (n *Network) write(ctx context.Context, entries map[string][]byte, head uint64) error {
	if len(entries) > 0 {
		if err := n.store.PutAll(ctx, entries); err != nil {
			return fmt.Errorf("saving what is known of the network: %w", err)
		}
	}
	value, err := json.Marshal(head)
	if err == nil {
		err = n.store.Put(ctx, keyNetworkHead, value)
	}
	if err != nil {
		return fmt.Errorf("saving what is known of the network: %w", err)
	}
	return nil
}

// Run saves in even pieces, all of it every interval, until ctx ends; Close has
// the rest.
func (n *Network) Run(ctx context.Context, interval time.Duration, failed func(error)) error {
	const pieces = 8
	tick := time.NewTicker(max(interval/pieces, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := n.Save(ctx, networkShards/pieces); err != nil && !errors.Is(err, context.Canceled) {
				failed(err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// Close keeps what is not kept yet.
func (n *Network) Close(ctx context.Context) error { return n.Save(ctx, 0) }

// Node gives what is known of a device; false before it was heard of.
func (n *Network) Node(id ID) (Node, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	node := n.shards[shardOf(string(id))].nodes[id]
	if node == nil {
		return Node{}, false
	}
	out := *node
	out.Addresses = slices.Clone(node.Addresses)
	out.Refusals = make(map[Reason]uint64, len(node.Refusals))
	for r, c := range node.Refusals {
		out.Refusals[r] = c
	}
	if node.Link != nil {
		l := *node.Link
		out.Link = &l
	}
	return out, true
}

// Address is the address a device spoke from last.
func (n *Network) Address(id ID) (netip.Addr, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	node := n.shards[shardOf(string(id))].nodes[id]
	if node == nil || len(node.Addresses) == 0 {
		return netip.Addr{}, false
	}
	return node.Addresses[0].Address, true
}

// PrefixUse is the traffic from a prefix of the register. A site counts for
// every prefix it is in, so a city's has its sites' traffic.
type PrefixUse struct {
	Prefix
	Sites    int       `json:"sites"` // /64s heard from
	Last     time.Time `json:"last,omitzero"`
	Refusals uint64    `json:"refusals"`
	Traffic
}

// ByPrefix gives the traffic of every prefix of the register, and of the sites
// that are in none.
func (n *Network) ByPrefix() (registered []PrefixUse, others []SiteUse) {
	list := n.prefixes.List()
	index := make(map[netip.Prefix]int, len(list))
	registered = make([]PrefixUse, len(list))
	lengths := map[bool]map[int]bool{true: {}, false: {}} // by family
	for i, p := range list {
		registered[i] = PrefixUse{Prefix: p}
		index[p.Prefix] = i
		lengths[p.Prefix.Addr().Is4()][p.Prefix.Bits()] = true
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	for i := range n.shards {
		for _, s := range n.shards[i].sites {
			found := false
			for bits := range lengths[s.Site.Addr().Is4()] {
				wide, err := s.Site.Addr().Prefix(bits)
				k, ok := index[wide]
				if err != nil || !ok {
					continue
				}
				found = true
				u := &registered[k]
				u.Sites++
				u.Refusals += s.Refusals
				u.add(s.Traffic)
				if s.Last.After(u.Last) {
					u.Last = s.Last
				}
			}
			if !found {
				others = append(others, *s)
			}
		}
	}
	slices.SortFunc(others, func(a, b SiteUse) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), cmp.Compare(b.Refusals, a.Refusals), a.Site.Addr().Compare(b.Site.Addr()))
	})
	return registered, others
}

// Family is how a node reaches the city.
type Family string

// The families of a node. Unheard is a node that was not heard in the time
// asked for, Unknown one behind a bridge that hides its address.
const (
	V6Only  Family = "v6-only"
	V4Only  Family = "v4-only"
	Dual    Family = "dual"
	Unknown Family = "unknown"
	Unheard Family = "unheard"
)

// Family judges a node by what was heard since.
func (node *Node) Family(since time.Time) Family {
	v6, v4 := node.V6.Last.After(since), node.V4.Last.After(since)
	switch {
	case v6 && v4:
		return Dual
	case v6:
		return V6Only
	case v4:
		return V4Only
	case node.Last.After(since):
		return Unknown
	}
	return Unheard
}

// Transition is the report on the move to IPv6.
type Transition struct {
	Since time.Time      `json:"since"`
	Nodes map[Family]int `json:"nodes"`
	// V6 and V4 are all traffic counted per family; Share6 is the part of the
	// bytes that came over IPv6, of the messages where no bytes were counted.
	V6     Traffic `json:"v6"`
	V4     Traffic `json:"v4"`
	Share6 float64 `json:"share6"`
	// List names the nodes by id, those of Only alone when the report was asked
	// for one family.
	List []TransitionNode `json:"list"`
}

// TransitionNode is one line of the report.
type TransitionNode struct {
	Device  ID         `json:"device"`
	Family  Family     `json:"family"`
	Address netip.Addr `json:"address,omitzero"` // the last one
	V6      Traffic    `json:"v6"`
	V4      Traffic    `json:"v4"`
}

// Transition reports on all registered devices but the retired ones, by what was
// heard since. An empty only lists all families.
func (n *Network) Transition(since time.Time, only Family) Transition {
	out := Transition{
		Since: since, List: []TransitionNode{},
		Nodes: map[Family]int{V6Only: 0, V4Only: 0, Dual: 0, Unknown: 0, Unheard: 0},
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	for _, d := range n.register.List() {
		if d.State == Retired || d.Exercise != "" {
			continue
		}
		line := TransitionNode{Device: d.ID, Family: Unheard}
		if node := n.shards[shardOf(string(d.ID))].nodes[d.ID]; node != nil {
			line.Family = node.Family(since)
			line.V6, line.V4 = node.V6.Traffic, node.V4.Traffic
			if len(node.Addresses) > 0 {
				line.Address = node.Addresses[0].Address
			}
			out.V6.add(node.V6.Traffic)
			out.V4.add(node.V4.Traffic)
		}
		out.Nodes[line.Family]++
		if only == "" || only == line.Family {
			out.List = append(out.List, line)
		}
	}
	six, four := out.V6.Bytes, out.V4.Bytes
	if six+four == 0 {
		six, four = out.V6.Messages, out.V4.Messages
	}
	if six+four > 0 {
		out.Share6 = float64(six) / float64(six+four)
	}
	return out
}

// Heard gives the time a device was last heard, and the address, of all that
// were, for whoever measures round trips.
func (n *Network) Heard(each func(ID, netip.Addr, time.Time)) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	for i := range n.shards {
		for id, node := range n.shards[i].nodes {
			if len(node.Addresses) > 0 {
				each(id, node.Addresses[0].Address, node.Addresses[0].Last)
			}
		}
	}
}

// RoundTrip is what was measured between the server and a node.
type RoundTrip struct {
	At     time.Time     `json:"at"`     // of the last answer
	Last   time.Duration `json:"-"`      // of the last answer
	Mean   time.Duration `json:"-"`      // weighted towards the newest
	Sent   uint64        `json:"sent"`   // requests
	Lost   uint64        `json:"lost"`   // requests that were not answered
	Method string        `json:"method"` // icmpv6
}
