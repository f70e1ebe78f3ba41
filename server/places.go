package server

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"luaserve/runtime"
)

// places counts the open connections of all listeners, in all and for each client, and has
// no more of them than the script allows. They are counted without a limit as well, as a
// reload may bring one.
type places struct {
	limits func() *runtime.Limits
	log    *slog.Logger

	mu       sync.Mutex
	taken    int
	byClient map[netip.Addr]int

	silent  time.Time // until then refusals are not logged, but counted
	refused int

	farewells chan struct{}
}

// place is that of one connection.
type place struct {
	of     *places
	client netip.Addr // as counted; invalid while it is not known, and on unix sockets
	left   bool

	onLeave func() // called the first time that it is left; nil for nothing
}

func newPlaces(limits func() *runtime.Limits, log *slog.Logger) *places {
	return &places{limits: limits, log: log, byClient: map[netip.Addr]int{}, farewells: make(chan struct{}, farewells)}
}

// take takes a place for a connection of a client, whose address may be invalid. An error
// says which limit is reached.
func (p *places) take(client netip.Addr) (*place, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if most := p.limits().Connections; most > 0 && p.taken >= most {
		return nil, fmt.Errorf("there are %d connections (limits: connections)", p.taken)
	}
	taken := &place{of: p}
	if err := taken.count(client); err != nil {
		return nil, err
	}
	p.taken++
	return taken, nil
}

// nameClient counts a connection whose client was not known yet.
func (c *place) nameClient(client netip.Addr) error {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if c.client.IsValid() {
		return nil
	}
	return c.count(client)
}

func (c *place) count(client netip.Addr) error {
	if !client.IsValid() {
		return nil
	}
	counted := client
	if client.Is6() {
		counted = netip.PrefixFrom(client, 64).Masked().Addr() // one client has all of these
	}
	n, most := c.of.byClient[counted], c.of.limits().ConnectionsPerIP
	if most > 0 && n >= most {
		return fmt.Errorf("%s has %d connections (limits: connections_per_ip)", client, n)
	}
	c.client = counted
	c.of.byClient[counted]++
	return nil
}

// leave makes the place free. It may be called again.
func (c *place) leave() {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if c.left {
		return
	}
	c.left = true
	if c.onLeave != nil {
		c.onLeave()
	}
	c.of.taken--
	if !c.client.IsValid() {
		return
	}
	if c.of.byClient[c.client]--; c.of.byClient[c.client] == 0 {
		delete(c.of.byClient, c.client)
	}
}

// refusalsEvery is how often refusals are logged at most: a flood must not fill the log.
const refusalsEvery = time.Minute

func (p *places) logRefusal(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refused++; time.Now().Before(p.silent) {
		return
	}
	p.log.Warn("connection refused", "error", err, "refused", p.refused)
	p.silent, p.refused = time.Now().Add(refusalsEvery), 0
}

// refusal is the answer to a connection for which there is no place. It fits into the buffer
// of a new socket.
const refusal = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 21\r\nConnection: close\r\n\r\ntoo many connections\n"

// farewells is how many refused connections wait for their client at a time, and
// farewellTime for how long.
const (
	farewells    = 64
	farewellTime = 500 * time.Millisecond
)

// turnAway ends a connection for which there is no place; err says why. Without TLS the
// client is told. It does not wait: a goroutine does, so that the answer arrives, and in a
// flood nobody.
func (p *places) turnAway(rwc net.Conn, secure bool, err error) {
	p.logRefusal(err)
	if secure {
		rwc.Close()
		return
	}
	select {
	case p.farewells <- struct{}{}:
		go func() {
			dismiss(rwc)
			<-p.farewells
		}()
	default:
		tell(rwc)
		rwc.Close()
	}
}

func tell(rwc net.Conn) {
	rwc.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	io.WriteString(rwc, refusal)
}

// dismiss tells the client and closes the connection when it has read that: closing with
// unread input would reset it.
func dismiss(rwc net.Conn) {
	defer rwc.Close()
	tell(rwc)
	if c, ok := rwc.(interface{ CloseWrite() error }); !ok || c.CloseWrite() != nil {
		return
	}
	rwc.SetReadDeadline(time.Now().Add(farewellTime))
	io.CopyN(io.Discard, rwc, 64<<10)
}
