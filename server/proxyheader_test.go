package server

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"luaserve/runtime"
)

// bytesConn is a connection from 192.0.2.1 on which everything has come already.
type bytesConn struct {
	net.Conn
	io.Reader
}

func (c bytesConn) Read(p []byte) (int, error)    { return c.Reader.Read(p) }
func (bytesConn) SetReadDeadline(time.Time) error { return nil }

func newBytesTransport(in []byte) *transport {
	return &transport{Conn: bytesConn{Reader: bytes.NewReader(in)},
		peer: runtime.Connection{Remote: netip.MustParseAddrPort("192.0.2.1:1000"), Local: netip.MustParseAddrPort("192.0.2.2:80")}}
}

const (
	signature2 = "\r\n\r\n\x00\r\nQUIT\n"
	addresses4 = "\xc6\x33\x64\x01\xc6\x33\x64\x02\x04\xd2\x01\xbb" // 198.51.100.1:1234 to 198.51.100.2:443
)

func TestProxyHeader(t *testing.T) {
	demand := &runtime.Proxying{Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, MaxTLV: -1}
	ask := &runtime.Proxying{Asked: true, MaxTLV: -1}
	small := &runtime.Proxying{Trusted: demand.Trusted, MaxTLV: 4}
	others := &runtime.Proxying{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, MaxTLV: -1}
	const same, proxied = "192.0.2.1:1000 192.0.2.2:80", "198.51.100.1:1234 198.51.100.2:443"
	for _, c := range []struct {
		name string
		want *runtime.Proxying
		in   string
		peer string // "" when the connection is refused
		rest string
	}{
		{"version 1", demand, "PROXY TCP4 198.51.100.1 198.51.100.2 1234 443\r\nGET", proxied, "GET"},
		{"version 1, IPv6", demand, "PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n", "[2001:db8::1]:1 [2001:db8::2]:2", ""},
		{"version 1, unknown", demand, "PROXY UNKNOWN\r\nGET", same, "GET"},
		{"version 1, bad address", demand, "PROXY TCP4 198.51.100.256 198.51.100.2 1234 443\r\nGET", "", ""},
		{"version 1, bad port", demand, "PROXY TCP4 198.51.100.1 198.51.100.2 1234 65536\r\nGET", "", ""},
		{"version 1, family and address differ", demand, "PROXY TCP4 ::1 ::2 1234 443\r\nGET", "", ""},
		{"version 1, no CR", demand, "PROXY TCP4 198.51.100.1 198.51.100.2 1234 443\nGET", "", ""},
		{"version 1, endless", demand, "PROXY TCP4 " + strings.Repeat("1", 300), "", ""},
		{"version 1, cut", demand, "PROXY TCP4 198.51", "", ""},
		{"version 2", demand, signature2 + "\x21\x11\x00\x0c" + addresses4 + "GET", proxied, "GET"},
		{"version 2, further data", demand, signature2 + "\x21\x11\x00\x10" + addresses4 + "\x04\x00\x01xGET", proxied, "GET"},
		{"version 2, little further data", small, signature2 + "\x21\x11\x00\x10" + addresses4 + "\x04\x00\x01xGET", proxied, "GET"},
		{"version 2, too much further data", small, signature2 + "\x21\x11\x00\x11" + addresses4 + "\x04\x00\x02xxGET", "", ""},
		{"version 2, local", demand, signature2 + "\x20\x00\x00\x00GET", same, "GET"},
		{"version 2, datagrams", demand, signature2 + "\x21\x12\x00\x0c" + addresses4, "", ""},
		{"version 2, unix sockets", demand, signature2 + "\x21\x31\x00\xd8" + strings.Repeat("s", 216) + "GET", "invalid AddrPort invalid AddrPort", "GET"},
		{"version 2, too short", demand, signature2 + "\x21\x11\x00\x04" + addresses4, "", ""},
		{"version 2, too long", demand, signature2 + "\x21\x11\xff\xff" + addresses4 + strings.Repeat("x", 70000), "", ""},
		{"version 3", demand, signature2 + "\x31\x11\x00\x0c" + addresses4, "", ""},
		{"demanded and missing", demand, "GET / HTTP/1.1\r\n", "", ""},
		{"demanded and nothing", demand, "", "", ""},
		{"asked for and missing", ask, "POST / HTTP/1.1\r\n", same, "POST / HTTP/1.1\r\n"},
		{"asked for and there", ask, "PROXY TCP4 198.51.100.1 198.51.100.2 1234 443\r\nGET", same, "GET"},
		{"asked for and broken", ask, "PROXY TCP4 x\r\nGET", "", ""},
		{"from somebody else", others, "PROXY TCP4 198.51.100.1 198.51.100.2 1234 443\r\nGET", same, "PROXY TCP4 198.51.100.1 198.51.100.2 1234 443\r\nGET"},
	} {
		tr := newBytesTransport([]byte(c.in))
		err := tr.readProxyHeader(c.want)
		if c.peer == "" {
			if err == nil {
				t.Errorf("%s: accepted", c.name)
			}
			continue
		}
		if peer := tr.peer.Remote.String() + " " + tr.peer.Local.String(); err != nil || peer != c.peer {
			t.Errorf("%s: got %s, %v; want %s", c.name, peer, err, c.peer)
		}
		if rest, _ := io.ReadAll(tr); string(rest) != c.rest {
			t.Errorf("%s: behind the header is %q, want %q", c.name, rest, c.rest)
		}
		if waits := tr.peer.Proxied != nil; waits != (c.want == ask && strings.HasPrefix(c.in, "PROXY")) {
			t.Errorf("%s: the header waits for an action: %v", c.name, waits)
		}
	}
}

// FuzzProxyHeader gives a connection arbitrary bytes: what is behind the header comes out as
// it was, a header is bounded, and nothing is lost where there was none.
func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 198.51.100.1 198.51.100.2 1234 443\r\nGET / HTTP/1.1\r\n"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte(signature2 + "\x21\x11\x00\x10" + addresses4 + "\x04\x00\x01xGET"))
	f.Add([]byte(signature2 + "\x20\x00\x00\x00GET"))
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		tr := newBytesTransport(in)
		if tr.readProxyHeader(&runtime.Proxying{Asked: true, MaxTLV: 100}) != nil {
			return
		}
		rest, err := io.ReadAll(tr)
		if err != nil || !bytes.HasSuffix(in, rest) {
			t.Fatalf("%q is left of %q, %v", rest, in, err)
		}
		header := in[:len(in)-len(rest)]
		if len(header) > 16+4096 {
			t.Errorf("a header of %d bytes", len(header))
		}
		if len(header) > 0 && !isProxyHeader(header[:5]) || len(header) == 0 && tr.peer.Proxied != nil {
			t.Errorf("%q was taken for a header", header)
		}
	})
}
