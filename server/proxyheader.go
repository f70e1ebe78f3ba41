package server

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"time"

	"github.com/pires/go-proxyproto"

	"luaserve/runtime"
)

// proxyHeaderTimeout is how long a peer may take for its PROXY header.
const proxyHeaderTimeout = 10 * time.Second

var (
	errNoProxyHeader = errors.New("no PROXY header from a peer that must send one (proxy_protocol.trust)")
	errProxyDatagram = errors.New("a PROXY header for datagrams")
	errProxyTLV      = errors.New("the PROXY header has more further data than proxy_protocol.tlv_max_length allows")
)

// readProxyHeader reads the PROXY header that a connection begins with, as far as the site
// wants one of this peer. The addresses in it take the place of those of the connection, or
// wait for an action. What comes behind the header is left to be read.
//
// A header is at most 107 bytes (version 1) or 16 + 4096 (version 2) long.
func (t *transport) readProxyHeader(want *runtime.Proxying) error {
	demanded := want.Demands(t.peer.Remote.Addr())
	if !demanded && !want.Allows(t.peer.Remote.Addr()) {
		return nil
	}
	t.SetReadDeadline(time.Now().Add(proxyHeaderTimeout))
	defer t.SetReadDeadline(time.Time{})
	counted := &countedReader{Reader: t.Conn}
	r := bufio.NewReaderSize(counted, 256) // a header of version 1 must come in one piece
	header, err := proxyproto.Read(r)
	if err != nil && !errors.Is(err, proxyproto.ErrNoProxyProtocol) {
		return err
	}
	if err != nil && r.Buffered() == 0 {
		return io.EOF // a load balancer that looks whether anybody is there
	}
	if err != nil && demanded {
		return errNoProxyHeader
	}
	t.early, _ = r.Peek(r.Buffered())
	if err != nil {
		return nil
	}
	if length := counted.n - int64(r.Buffered()); want.MaxTLV >= 0 && furtherData(header, length) > want.MaxTLV {
		return errProxyTLV
	}
	return t.useProxyHeader(header, demanded)
}

// countedReader counts what is read.
type countedReader struct {
	io.Reader
	n int64
}

func (c *countedReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

// furtherData is how many bytes of a header are behind the addresses.
func furtherData(header *proxyproto.Header, length int64) int64 {
	const fixed, ipv4, ipv6, unix = 16, 12, 36, 216
	switch family := header.TransportProtocol; {
	case header.Version == 1:
		return 0
	case family.IsIPv4():
		return length - fixed - ipv4
	case family.IsIPv6():
		return length - fixed - ipv6
	case family.IsUnix():
		return length - fixed - unix
	}
	return length - fixed
}

func (t *transport) useProxyHeader(header *proxyproto.Header, trusted bool) error {
	switch {
	case header.Command.IsLocal() || header.TransportProtocol.IsUnspec():
		return nil // the load balancer itself, or it does not know
	case header.TransportProtocol.IsDatagram():
		return errProxyDatagram
	}
	remote, local := runtime.AddrPort(header.SourceAddr), runtime.AddrPort(header.DestinationAddr) // invalid for unix sockets
	if trusted {
		t.peer.Remote, t.peer.Local = remote, local
	} else {
		t.peer.Proxied = &runtime.Proxied{Local: local, Remote: remote}
	}
	return nil
}

// Read implements net.Conn: what came with the header is read first.
func (t *transport) Read(p []byte) (int, error) {
	if len(t.early) == 0 {
		return t.Conn.Read(p)
	}
	n := copy(p, t.early)
	t.early = t.early[n:]
	return n, nil
}

// ReadFrom lets the kernel copy files (sendfile).
func (t *transport) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(t.Conn, r)
}

// CloseWrite ends the sending, where the connection below can do that.
func (t *transport) CloseWrite() error {
	if c, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errors.ErrUnsupported
}

// isProxyHeader reports whether the first five bytes of a connection are those of a PROXY header.
func isProxyHeader(begin []byte) bool {
	return bytes.Equal(begin, []byte("PROXY")) || bytes.Equal(begin, []byte("\r\n\r\n\x00"))
}
