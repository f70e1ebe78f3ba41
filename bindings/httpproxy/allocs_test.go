//go:build !race

package httpproxy

import (
	"context"
	"testing"

	"luaserve/bindings/upstream/upstreamtest"
)

// A small request over a kept connection: the response, and its head with the body. One that is
// paused has the first already.
func TestAllocations(t *testing.T) {
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nServer: x\r\nContent-Length: 5\r\n\r\nhello")
	u := startUpstream(t, func(p *peer) {
		buf := make([]byte, 4<<10)
		for {
			if _, err := p.Read(buf); err != nil {
				return
			}
			p.Write(answer)
		}
	})
	c := u.client(t)
	r := &Request{Method: "GET", Target: "/a/b?c", Host: "localhost", Header: header("User-Agent", "x", "Accept", "*/*")}
	n := testing.AllocsPerRun(200, func() {
		resp, err := c.Do(context.Background(), r)
		if err != nil || resp.Data != "hello" {
			t.Fatal(resp, err)
		}
	})
	if n > 2 {
		t.Errorf("%v allocations, want 2", n)
	}
	var p Pending
	r.Loop = upstreamtest.Loop{}
	n = testing.AllocsPerRun(200, func() {
		if !c.Start(context.Background(), r, &p) {
			t.Fatal("it cannot be paused")
		}
		if resp, _, err := p.Resume(false); err != nil || resp.Data != "hello" {
			t.Fatal(resp, err)
		}
		p.Free()
	})
	if n > 1 {
		t.Errorf("%v allocations of a paused request, want 1", n)
	}
}
