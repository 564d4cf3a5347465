package ingest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/pion/transport/v4/deadline"
	"golang.org/x/net/ipv6"

	"vonglau/devices"
)

// path is the two ends of a datagram. An answer leaves from the address that was
// asked: a host with several would else choose one the device does not know, and
// its firewall drops.
type path struct {
	remote netip.AddrPort // not canonical: the socket's own form
	local  netip.Addr     // zero when the socket is bound to one address
	via    int            // interface, for link-local addresses
}

func (p *path) Network() string          { return "udp" }
func (p *path) String() string           { return devices.CanonAddrPort(p.remote).String() }
func (p *path) AddrPort() netip.AddrPort { return p.remote }

const (
	// cidSize is the length of our connection IDs: too long to guess.
	cidSize = 8
	// recordLimit is the largest datagram a device may send.
	recordLimit = 8192
	// backlog is how many datagrams of one association wait; more are dropped
	// and sent again by whoever sent them.
	backlog = 32
)

// Record types and the handshake type of RFC 6347 section 4.3.1 and RFC 9146
// section 4; a record's header is 13 octets, with a connection ID 13 + cidSize.
const (
	recordHandshake = 22
	recordCID       = 25
	recordHeader    = 13
	helloClient     = 1
	helloServer     = 2
)

// datagrams makes associations of what arrives at one UDP socket, by the pair of
// addresses or, where one was agreed on, by connection ID.
//
// A ClientHello on a path that has an association already is a device that
// restarted with the same port (RFC 6347 section 4.2.8): it begins a second
// one, and the first goes when the second is proven, not before. Meanwhile both
// see what is encrypted, and each can read its own only.
type datagrams struct {
	socket  *net.UDPConn
	packets *ipv6.PacketConn
	many    bool // the socket has more addresses than one
	welcome func(*association) bool

	mu     sync.Mutex // guards paths, ids and what associations say is guarded
	paths  map[path][]*association
	ids    map[[cidSize]byte]*association
	closed bool
}

func listenDatagrams(addr string, welcome func(*association) bool) (*datagrams, error) {
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(context.Background(), "udp", addr)
	if err != nil {
		return nil, err
	}
	socket := pc.(*net.UDPConn)
	d := &datagrams{
		socket: socket, packets: ipv6.NewPacketConn(socket), welcome: welcome,
		paths: map[path][]*association{}, ids: map[[cidSize]byte]*association{},
	}
	if local, ok := socket.LocalAddr().(*net.UDPAddr); ok && local.IP.IsUnspecified() && local.IP.To4() == nil {
		if err := d.packets.SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true); err != nil {
			_ = socket.Close()
			return nil, fmt.Errorf("asking which address was asked: %w", err)
		}
		d.many = true
	}
	return d, nil
}

// read hands out datagrams until the socket is closed.
func (d *datagrams) read() error {
	buf := make([]byte, recordLimit)
	for {
		n, control, from, err := d.packets.ReadFrom(buf)
		if err != nil {
			d.mu.Lock()
			closed := d.closed
			d.mu.Unlock()
			if closed {
				return nil
			}
			// An ICMP error of an earlier answer, or no buffers: of the moment.
			time.Sleep(5 * time.Millisecond)
			continue
		}
		udp, ok := from.(*net.UDPAddr)
		if !ok || n < recordHeader {
			continue
		}
		p := path{remote: udp.AddrPort()}
		if d.many && control != nil {
			p.local, _ = netip.AddrFromSlice(control.Dst)
			if p.remote.Addr().IsLinkLocalUnicast() || control.Dst.IsLinkLocalUnicast() {
				p.via = control.IfIndex
			}
		}
		d.deliver(p, buf[:n])
	}
}

// deliver gives a datagram to those it may be for.
func (d *datagrams) deliver(p path, datagram []byte) {
	hello := datagram[0] == recordHandshake && len(datagram) > recordHeader && datagram[recordHeader] == helloClient &&
		datagram[3] == 0 && datagram[4] == 0 // epoch 0
	d.mu.Lock()
	if datagram[0] == recordCID {
		if len(datagram) > recordHeader+cidSize {
			if a := d.ids[[cidSize]byte(datagram[11:11+cidSize])]; a != nil {
				a.push(&p, datagram)
			}
		}
		d.mu.Unlock()
		return
	}
	list := d.paths[p]
	newest := (*association)(nil)
	if len(list) > 0 {
		newest = list[len(list)-1]
	}
	if newest != nil && (!hello || !newest.proven) {
		plain := datagram[3] == 0 && datagram[4] == 0
		for _, a := range list {
			if a == newest || !plain {
				a.push(&p, datagram)
			}
		}
		d.mu.Unlock()
		return
	}
	d.mu.Unlock()
	if !hello {
		return
	}
	a := &association{
		of: d, first: p, in: make(chan datagramFrom, backlog), done: make(chan struct{}), since: time.Now(), reads: deadline.New(),
	}
	a.push(&p, datagram)
	d.mu.Lock()
	ok := !d.closed
	if ok {
		d.paths[p] = append(d.paths[p], a)
	}
	d.mu.Unlock()
	if !ok || !d.welcome(a) {
		a.Close()
	}
}

// close ends the socket; associations end with it.
func (d *datagrams) close() error {
	d.mu.Lock()
	d.closed = true
	var all []*association
	for _, list := range d.paths {
		all = append(all, list...)
	}
	d.mu.Unlock()
	for _, a := range all {
		_ = a.Close()
	}
	return d.socket.Close()
}

type datagramFrom struct {
	path  *path
	bytes []byte
}

// association is the net.PacketConn of one DTLS connection.
type association struct {
	of    *datagrams
	first path
	since time.Time
	in    chan datagramFrom
	done  chan struct{}
	reads *deadline.Deadline
	once  sync.Once

	// Guarded by of.mu.
	id     [cidSize]byte
	hasID  bool
	proven bool // its handshake is done
	reach  bool // we have sent it a ServerHello, so it has echoed our cookie
}

// push queues a datagram; called with of.mu held or before a is known.
func (a *association) push(p *path, datagram []byte) {
	select {
	case a.in <- datagramFrom{p, append([]byte(nil), datagram...)}:
	default:
	}
}

// identify gives the association a connection ID.
func (a *association) identify(cid []byte) {
	a.of.mu.Lock()
	defer a.of.mu.Unlock()
	if a.hasID {
		delete(a.of.ids, a.id)
	}
	a.id, a.hasID = [cidSize]byte(cid), true
	a.of.ids[a.id] = a
}

// settle marks the handshake as done and ends the associations it replaces.
func (a *association) settle() {
	a.of.mu.Lock()
	a.proven = true
	var older []*association
	for _, o := range a.of.paths[a.first] {
		if o == a {
			break
		}
		older = append(older, o)
	}
	a.of.mu.Unlock()
	for _, o := range older {
		_ = o.Close()
	}
}

func (a *association) reachable() bool {
	a.of.mu.Lock()
	defer a.of.mu.Unlock()
	return a.reach
}

// ReadFrom gives the next datagram and the path it came by.
func (a *association) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case <-a.reads.Done():
		return 0, nil, os.ErrDeadlineExceeded
	default:
	}
	select {
	case d := <-a.in:
		return copy(b, d.bytes), d.path, nil
	case <-a.reads.Done():
		return 0, nil, os.ErrDeadlineExceeded
	case <-a.done:
		return 0, nil, net.ErrClosed
	}
}

// WriteTo sends from the address that was asked.
func (a *association) WriteTo(b []byte, to net.Addr) (int, error) {
	p, ok := to.(*path)
	if !ok {
		p = &a.first
	}
	if len(b) > recordHeader && b[0] == recordHandshake && b[recordHeader] == helloServer {
		a.of.mu.Lock()
		a.reach = true
		a.of.mu.Unlock()
	}
	var control *ipv6.ControlMessage
	if p.local.IsValid() {
		control = &ipv6.ControlMessage{Src: p.local.AsSlice(), IfIndex: p.via}
	}
	return a.of.packets.WriteTo(b, control, net.UDPAddrFromAddrPort(p.remote))
}

// Close ends the association.
func (a *association) Close() error {
	a.once.Do(func() {
		close(a.done)
		a.of.mu.Lock()
		defer a.of.mu.Unlock()
		if a.hasID {
			delete(a.of.ids, a.id)
		}
		var rest []*association
		for _, o := range a.of.paths[a.first] {
			if o != a {
				rest = append(rest, o)
			}
		}
		if len(rest) > 0 {
			a.of.paths[a.first] = rest
		} else {
			delete(a.of.paths, a.first)
		}
	})
	return nil
}

func (a *association) LocalAddr() net.Addr { return a.of.socket.LocalAddr() }

func (a *association) SetDeadline(t time.Time) error {
	a.reads.Set(t)
	return nil
}

func (a *association) SetReadDeadline(t time.Time) error {
	a.reads.Set(t)
	return nil
}

// SetWriteDeadline has nothing to do: a datagram is sent or dropped.
func (a *association) SetWriteDeadline(time.Time) error { return nil }
