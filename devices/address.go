package devices

import (
	"net"
	"net/netip"
)

// Canon is the one form in which an address is compared, limited, stored and
// printed: a v4-mapped address is unmapped and the zone dropped, because a zone
// id means something on this host only (RFC 4007 section 6) and
// netip.Prefix.Contains is false for a zoned address. String() of the result is
// RFC 5952.
func Canon(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// CanonAddrPort applies Canon to the address of ap.
func CanonAddrPort(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(Canon(ap.Addr()), ap.Port())
}

// PeerOf gives the canonical address of a connection's remote end, or the zero
// AddrPort for a transport without one.
func PeerOf(a net.Addr) netip.AddrPort {
	if a, ok := a.(interface{ AddrPort() netip.AddrPort }); ok { // of TCP and UDP
		return CanonAddrPort(a.AddrPort())
	}
	return netip.AddrPort{}
}

// SitePrefix is the unit in which unproven sources are counted: the /64 of an
// IPv6 address, because one host can speak from 2^64 of them, and the /32 of an
// IPv4 one.
func SitePrefix(a netip.Addr) netip.Prefix {
	a = Canon(a)
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
