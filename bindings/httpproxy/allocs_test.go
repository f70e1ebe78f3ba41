//go:build !race

package httpproxy

import (
	"context"
	"testing"
)

// A small request over a kept connection: the response, its head and its body.
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
	if n > 3 {
		t.Errorf("%v allocations, want 3", n)
	}
}
