package httpproxy

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Tunnel is a connection to the upstream that went over to another protocol.
type Tunnel struct {
	Protocol string // as the upstream names it

	conn  net.Conn
	ahead []byte        // what came together with the head of the answer
	idle  time.Duration // how long nothing may happen; not more than 0: for ever
}

// newTunnel takes the connection out of the hands of HTTP.
func newTunnel(cn *conn, protocol string) *Tunnel {
	t := &Tunnel{Protocol: protocol, conn: cn.Net, idle: cn.config.ReadTimeout}
	cn.unwatch()
	t.ahead = append([]byte(nil), cn.buffered()...)
	cn.release()
	cn.Net.SetDeadline(time.Time{})
	return t
}

// Run copies between client and the upstream, each way until its end, and returns when both
// have ended, one of them failed, or nothing came from either side for the read timeout. Both
// connections are closed then.
func (t *Tunnel) Run(client net.Conn) {
	end := sync.OnceFunc(func() {
		client.Close()
		t.conn.Close()
	})
	defer end()
	alive := func() {}
	if t.idle > 0 {
		timer := time.AfterFunc(t.idle, end)
		defer timer.Stop()
		alive = func() { timer.Reset(t.idle) }
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if !relay(t.conn, client, nil, alive) {
			end()
		}
	}()
	if !relay(client, t.conn, t.ahead, alive) {
		end()
	}
	<-done
}

// Close closes the connection to the upstream. It may be called at any time.
func (t *Tunnel) Close() { t.conn.Close() }

// relay copies what comes from src to dst, behind ahead, and passes its end on. It reports
// whether all went well.
func relay(dst, src net.Conn, ahead []byte, alive func()) bool {
	if len(ahead) > 0 {
		if _, err := dst.Write(ahead); err != nil {
			return false
		}
	}
	buf := make([]byte, 16<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			alive()
			if _, err := dst.Write(buf[:n]); err != nil {
				return false
			}
			alive()
		}
		if err == io.EOF {
			cw, ok := dst.(interface{ CloseWrite() error })
			return ok && cw.CloseWrite() == nil
		}
		if err != nil {
			return false
		}
	}
}

// switchedTo reports whether an upstream has agreed to go over to a protocol, "" for none.
func (h *head) switchedTo(protocol string) bool {
	return protocol != "" && h.status == http.StatusSwitchingProtocols && strings.EqualFold(h.upgrade, protocol)
}
