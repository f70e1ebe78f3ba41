//go:build unix

package upstream

import (
	"net"
	"path/filepath"
	"testing"
	"time"
)

// A connection that the backend closed, or on which it spoke unasked, is not used again.
func TestAlive(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, tt := range []struct {
		name  string
		do    func(far net.Conn)
		alive bool
	}{
		{"quiet", func(net.Conn) {}, true},
		{"closed", func(far net.Conn) { far.Close() }, false},
		{"unasked answer", func(far net.Conn) { far.Write([]byte("x")) }, false},
	} {
		near, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		far, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		p := NewPool[*client](1, time.Minute)
		c := &client{NewConn(near), far}
		p.Put(c)
		tt.do(far)
		if got := p.Get(); (got == c) != tt.alive {
			t.Errorf("%s: got a connection: %v, want %v", tt.name, got != nil, tt.alive)
		}
		if n := testing.AllocsPerRun(100, func() { c.alive() }); tt.alive && n != 0 {
			t.Errorf("%s: looking allocates %v times", tt.name, n)
		}
		near.Close()
		far.Close()
	}
}
