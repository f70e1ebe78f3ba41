package http1

import (
	"net"
	"time"

	"luaserve/runtime"
)

// upgrade answers with 101 and hands the connection over to the other protocol. No request
// follows.
func (c *conn) upgrade(reply *runtime.Reply) {
	c.watch.stop(c) // it reads ahead, and what it read is the other protocol's
	c.writeHead(reply, true, true)
	if c.out.flush() != nil {
		return
	}
	c.rwc.SetDeadline(time.Time{})
	reply.Tunnel(&upgraded{Conn: c.rwc, ahead: c.buf[c.r:c.w]})
	c.r = c.w
	c.rwc.Close()
}

// upgraded is a connection of which some bytes have been read already.
type upgraded struct {
	net.Conn
	ahead []byte
}

func (u *upgraded) Read(p []byte) (int, error) {
	if len(u.ahead) > 0 {
		n := copy(p, u.ahead)
		u.ahead = u.ahead[n:]
		return n, nil
	}
	return u.Conn.Read(p)
}

// CloseWrite says that nothing more is written.
func (u *upgraded) CloseWrite() error {
	if cw, ok := u.Conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return u.Conn.Close()
}
