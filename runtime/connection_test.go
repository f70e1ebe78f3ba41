package runtime_test

import (
	"net"
	"net/netip"
	"testing"

	"luaserve/runtime"
)

func TestAddrPort(t *testing.T) {
	for _, c := range []struct {
		in   net.Addr
		want netip.AddrPort
	}{
		{&net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 80, Zone: "eth0"}, netip.MustParseAddrPort("[fe80::1]:80")},
		{&net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.1"), Port: 80}, netip.MustParseAddrPort("192.0.2.1:80")},
		{&net.UnixAddr{Name: "/s"}, netip.AddrPort{}},
	} {
		if got := runtime.AddrPort(c.in); got != c.want {
			t.Errorf("%v: got %v, want %v", c.in, got, c.want)
		}
	}
}
