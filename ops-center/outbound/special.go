package outbound

import "net/netip"

const (
	whyUnspecified = "the unspecified address"
	whyMulticast   = "multicast"
)

// special are the prefixes of the IANA registries of special-purpose addresses
// that lead elsewhere than to a host of the internet, and what they are. Those
// that carry an IPv4 address inside are here as a whole: what they lead to is
// for a translator to say that is not ours.
var special = []struct {
	prefix netip.Prefix
	why    string
}{
	{netip.MustParsePrefix("::1/128"), "this machine (loopback)"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("fec0::/10"), "site-local"},
	{netip.MustParsePrefix("fd00:ec2::254/128"), "the metadata service of a cloud"},
	{netip.MustParsePrefix("fc00::/7"), "a private network (ULA)"},
	{netip.MustParsePrefix("64:ff9b::/96"), "behind NAT64"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "behind a local NAT64"},
	{netip.MustParsePrefix("2001::/32"), "Teredo"},
	{netip.MustParsePrefix("2001:db8::/32"), "for documentation"},
	{netip.MustParsePrefix("2001::/23"), "reserved for protocols"},
	{netip.MustParsePrefix("2002::/16"), "6to4"},
	{netip.MustParsePrefix("3fff::/20"), "for documentation"},

	{netip.MustParsePrefix("0.0.0.0/8"), "this network"},
	{netip.MustParsePrefix("10.0.0.0/8"), "a private network"},
	{netip.MustParsePrefix("100.64.0.0/10"), "shared address space (CGNAT)"},
	{netip.MustParsePrefix("127.0.0.0/8"), "this machine (loopback)"},
	{netip.MustParsePrefix("169.254.169.254/32"), "the metadata service of a cloud"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
	{netip.MustParsePrefix("172.16.0.0/12"), "a private network"},
	{netip.MustParsePrefix("192.0.0.0/24"), "reserved for protocols"},
	{netip.MustParsePrefix("192.0.2.0/24"), "for documentation"},
	{netip.MustParsePrefix("192.88.99.0/24"), "6to4 relays"},
	{netip.MustParsePrefix("192.168.0.0/16"), "a private network"},
	{netip.MustParsePrefix("198.18.0.0/15"), "for benchmarks"},
	{netip.MustParsePrefix("198.51.100.0/24"), "for documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "for documentation"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},
}

// global is all of IPv6 that is given out as global unicast.
var global = netip.MustParsePrefix("2000::/3")

// Why says why an address is not one of a host on the internet, "" when it is.
func Why(addr netip.Addr) string {
	addr = addr.Unmap()
	switch {
	case !addr.IsValid():
		return "no address"
	case addr.IsUnspecified():
		return whyUnspecified
	case addr.IsMulticast():
		return whyMulticast
	}
	for _, s := range special {
		if s.prefix.Contains(addr.WithZone("")) {
			return s.why
		}
	}
	if addr.Is6() && !global.Contains(addr.WithZone("")) {
		return "not given out"
	}
	return ""
}
