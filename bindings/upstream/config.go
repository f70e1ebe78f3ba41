package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// Config describes a backend and how to talk to it, whatever protocol it speaks. Only Network
// and Address are required. A negative SendTimeout or ReadTimeout means no limit.
type Config struct {
	Network string // "unix" or "tcp"
	Address string // as net.Dial takes it; see [ParseAddress]

	// Within is the directory that a unix socket must lie in, see [DialWithin]; "" is no limit.
	Within string

	// Connect makes the connections in place of a [net.Dialer]; nil is the rule.
	Connect func(ctx context.Context, network, address string) (net.Conn, error)

	// ConnectTimeout limits connecting, name lookup included. 0 means 5 seconds.
	ConnectTimeout time.Duration
	// SendTimeout limits how long the backend may not take what is sent: it is the time for
	// one write, not for the request. 0 means 60 seconds.
	SendTimeout time.Duration
	// ReadTimeout limits the wait for the next bytes of an answer, not for all of it. It
	// counts from the end of sending. 0 means 60 seconds.
	ReadTimeout time.Duration

	// MaxIdle is how many connections are kept for later requests. 0 means 256; less means
	// none.
	MaxIdle int
	// IdleTime is how long they are kept. 0 means 30 seconds.
	IdleTime time.Duration
	// DisableKeepAlive makes every request use a connection of its own, and tells the
	// backend so.
	DisableKeepAlive bool

	// MaxHeadBytes limits a response head. 0 means 64 KiB.
	MaxHeadBytes int
}

// Key is equal for configurations that are alike. Connect does not count: it is the same for
// all backends of a program, and functions cannot be compared.
func (c Config) Key() string {
	c.Connect = nil
	return fmt.Sprintf("%+v", c)
}

// WithDefaults returns c with the defaults in place of what is 0.
func (c Config) WithDefaults() Config {
	orDefault(&c.ConnectTimeout, 5*time.Second)
	orDefault(&c.SendTimeout, 60*time.Second)
	orDefault(&c.ReadTimeout, 60*time.Second)
	orDefault(&c.MaxIdle, 256)
	orDefault(&c.IdleTime, 30*time.Second)
	orDefault(&c.MaxHeadBytes, 64<<10)
	return c
}

func orDefault[T int | time.Duration](v *T, value T) {
	if *v == 0 {
		*v = value
	}
}

// Keeps reports whether connections are kept for later requests.
func (c *Config) Keeps() bool { return !c.DisableKeepAlive && c.MaxIdle > 0 }

// Dial connects to the backend; the error is an [Error] of proto. A unix socket connects or
// refuses at once, so nothing of ctx but Err is used for it; one whose backlog is full refuses
// with EAGAIN, where TCP would wait, so the wait is made here, and full, unless it is nil, is
// called once before it.
func (c *Config) Dial(ctx context.Context, proto string, full func()) (net.Conn, error) {
	deadline := time.Now().Add(c.ConnectTimeout)
	connect := c.Connect
	switch {
	case connect == nil && c.Within != "" && c.Network == "unix":
		connect = func(ctx context.Context, _, address string) (net.Conn, error) {
			return DialWithin(ctx, c.Within, address, deadline)
		}
	case connect == nil:
		connect = (&net.Dialer{Deadline: deadline, KeepAlive: -1}).DialContext
	}
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		nc, err := connect(ctx, c.Network, c.Address)
		if err == nil {
			return nc, nil
		}
		e := &Error{Proto: proto, Op: "dial", Addr: c.Address, Kind: Unavailable, Err: Bare(err)}
		isFull := errors.Is(err, syscall.EAGAIN)
		switch {
		case ctx.Err() != nil:
			e.Ended(ctx)
			return nil, e
		case isFull && time.Until(deadline) < pause, !isFull && IsTimeout(err):
			e.Kind = Timeout
			return nil, e
		case !isFull:
			return nil, e
		}
		if full != nil {
			full()
			full = nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}
