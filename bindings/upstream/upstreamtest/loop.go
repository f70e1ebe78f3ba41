// Package upstreamtest has what the tests of protocols need to send requests as a loop does.
package upstreamtest

import (
	"net"
	"time"
)

// Loop is an upstream.Loop that adopts every connection. It serves nobody else, so reads of
// what it has adopted may wait, for up to ten seconds.
type Loop struct{}

// Waits implements upstream.Loop.
func (Loop) Waits() {}

// Place implements upstream.Loop.
func (Loop) Place() int { return 1 }

// Adopt implements upstream.Loop.
func (Loop) Adopt(nc net.Conn) net.Conn { return watchedConn{nc} }

// Send implements upstream.Loop.
func (Loop) Send(to net.Conn, p []byte) (int, error) { return to.Write(p) }

// watchedConn is an upstream.Watched.
type watchedConn struct{ net.Conn }

func (c watchedConn) Quiet() bool { return true }

func (c watchedConn) TryRead(p []byte) (n int, again bool, err error) {
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return 0, false, err
	}
	n, err = c.Read(p)
	return n, false, err
}
