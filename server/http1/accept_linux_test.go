package http1

import (
	"net"
	"path/filepath"
	"testing"

	"luaserve/runtime"
)

// What a connection is told of its ends is what the kernel says of them.
func TestAddresses(t *testing.T) {
	for _, tt := range []struct{ name, network, listen, dial, local string }{
		{"one address", "tcp", "127.0.0.1:0", "127.0.0.1", "127.0.0.1"},
		{"all addresses", "tcp4", "0.0.0.0:0", "127.0.0.9", "127.0.0.9"},
		{"IPv4 at a listener for IPv6", "tcp", "[::]:0", "127.0.0.9", "127.0.0.9"},
		{"one address of IPv6", "tcp", "[::1]:0", "::1", "::1"},
		{"all addresses of IPv6", "tcp", "[::]:0", "::1", "::1"},
		{"unix", "unix", filepath.Join(t.TempDir(), "s"), "", "invalid IP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plain, err := net.Listen(tt.network, tt.listen)
			if err != nil {
				t.Skipf("this machine has none: %v", err)
			}
			srv := New(Config{})
			defer srv.Close()
			l := srv.Listener(plain)
			defer l.Close()
			at := plain.Addr().String()
			if tt.dial != "" {
				_, port, _ := net.SplitHostPort(at)
				at = net.JoinHostPort(tt.dial, port)
			}
			near, err := net.Dial(plain.Addr().Network(), at)
			if err != nil {
				t.Fatal(err)
			}
			defer near.Close()
			far, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer far.Close()
			got := Addresses(far)
			want := runtime.Connection{Local: runtime.AddrPort(far.LocalAddr()), Remote: runtime.AddrPort(far.RemoteAddr())}
			if got.Local != want.Local || got.Remote != want.Remote || got.Remote != runtime.AddrPort(near.LocalAddr()) || got.Local.Addr().String() != tt.local {
				t.Errorf("got %v and %v, want %v and %v, the local one %s", got.Local, got.Remote, want.Local, want.Remote, tt.local)
			}
		})
	}
}
