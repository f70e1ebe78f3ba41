package upstream

import (
	"net"
	"syscall"
	"time"
)

// Conn is what a [Pool] has to know of a connection. The connections of the transports embed
// one.
type Conn struct {
	Net    net.Conn
	Reused bool // came out of the pool, so it served a request before this one

	raw       syscall.RawConn // nil when Net has none
	peek      peeker
	idleSince time.Time
}

// NewConn wraps a connection that was just made.
func NewConn(nc net.Conn) Conn {
	c := Conn{Net: nc}
	if sc, ok := nc.(syscall.Conn); ok {
		c.raw, _ = sc.SyscallConn()
	}
	return c
}

func (c *Conn) shared() *Conn { return c }
