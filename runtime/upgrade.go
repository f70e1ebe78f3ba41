package runtime

import (
	"net"
	"sync/atomic"
)

// upgrade is the change of a connection to another protocol (RFC 9110, 7.8).
type upgrade struct {
	protocol string
	tunnel   func(client net.Conn)
}

// CanUpgrade reports whether the connection of the request may go over to another protocol:
// it is HTTP/1.1, the front end can let go of it, and the request has no body.
func (vr *VRequest) CanUpgrade() bool {
	return vr.parent == nil && vr.body == nil && vr.Request.Version == "HTTP/1.1" && vr.exchange.CanUpgrade()
}

// HandleUpgrade claims the request for another protocol: the front end answers with 101 and
// calls tunnel with the connection to the client, which is closed when tunnel returns. Ask
// [VRequest.CanUpgrade] before. When a later action changes the status, that is the answer and
// tunnel is never called.
func (vr *VRequest) HandleUpgrade(protocol string, tunnel func(client net.Conn)) {
	vr.handled = handledUpgrade
	vr.Response.Status = 101
	vr.upgrade = upgrade{protocol, tunnel}
}

// Upgrade returns the protocol that the connection goes over to, "" when it does not. After
// the head of such an answer, whose status is 101, the front end calls [Reply.Tunnel].
func (r *Reply) Upgrade() string {
	if r.vr == nil || r.vr.handled != handledUpgrade {
		return ""
	}
	return r.vr.upgrade.protocol
}

// Tunnel hands the connection to the client over until the other protocol ends. The caller
// closes it then.
func (r *Reply) Tunnel(client net.Conn) {
	if r.vr.sent != nil {
		client = countedConn{client, r.vr.sent}
	}
	r.vr.upgrade.tunnel(client)
}

// countedConn counts what is written.
type countedConn struct {
	net.Conn
	n *atomic.Int64
}

func (c countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// CloseWrite says that nothing more is written.
func (c countedConn) CloseWrite() error {
	if cw, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return c.Conn.Close()
}
