package http1

import (
	"context"
	"net"
	"path/filepath"
	"syscall"
	"testing"

	"luaserve/runtime"
)

// What a connection is told of its ends is what the kernel says, whether it was asked or not.
func TestAddresses(t *testing.T) {
	transparent := func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_TRANSPARENT, 1)
		})
	}
	for _, tt := range []struct {
		name, network, listen, dial string
		control                     func(network, address string, raw syscall.RawConn) error
		own                         bool // the kernel need not be asked
		local                       string
	}{
		{"one address", "tcp", "127.0.0.1:0", "127.0.0.1", nil, true, "127.0.0.1"},
		{"all addresses", "tcp4", "0.0.0.0:0", "127.0.0.9", nil, false, "127.0.0.9"},
		{"IPv4 at a listener for IPv6", "tcp", "[::]:0", "127.0.0.9", nil, false, "127.0.0.9"},
		{"one address of IPv6", "tcp", "[::1]:0", "::1", nil, true, "::1"},
		{"all addresses of IPv6", "tcp", "[::]:0", "::1", nil, false, "::1"},
		{"transparent", "tcp", "127.0.0.1:0", "127.0.0.1", transparent, false, "127.0.0.1"},
		{"unix", "unix", filepath.Join(t.TempDir(), "s"), "", nil, true, "invalid IP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lc := net.ListenConfig{Control: tt.control}
			plain, err := lc.Listen(context.Background(), tt.network, tt.listen)
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
			if own := far.(*socket).from.own; own != tt.own && (tt.control == nil || syscall.Geteuid() == 0) {
				t.Errorf("the address of the listener is that of its connections: %v", own)
			}
			got := Addresses(far)
			want := runtime.Connection{Local: runtime.AddrPort(far.LocalAddr()), Remote: runtime.AddrPort(far.RemoteAddr())}
			if got.Local != want.Local || got.Remote != want.Remote || got.Remote != runtime.AddrPort(near.LocalAddr()) || got.Local.Addr().String() != tt.local {
				t.Errorf("got %v and %v, want %v and %v, the local one %s", got.Local, got.Remote, want.Local, want.Remote, tt.local)
			}
		})
	}
}
