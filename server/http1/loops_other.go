//go:build !linux

package http1

import (
	"net"

	"luaserve/runtime"
)

// loops are what serves connections without a goroutine each; there is an implementation for
// Linux only.
type loops struct{}

func (*loops) close() {}

// Listener returns l.
func (s *Server) Listener(l net.Listener) net.Listener { return l }

// Addresses returns a connection as requests are told of it, without TLS.
func Addresses(rwc net.Conn) runtime.Connection {
	return runtime.Connection{Local: runtime.AddrPort(rwc.LocalAddr()), Remote: runtime.AddrPort(rwc.RemoteAddr())}
}

// Watch reports that a connection needs a goroutine; see [Server.ServeConn].
func (s *Server) Watch(net.Conn, runtime.Connection, func()) bool { return false }
