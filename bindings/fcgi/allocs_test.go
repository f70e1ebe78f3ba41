//go:build !race

package fcgi

import (
	"context"
	"testing"

	"luaserve/bindings/upstream/upstreamtest"
)

// A small request over a kept connection: the response, its head and its body. One that is paused
// has the first already.
func TestAllocations(t *testing.T) {
	c := startBackend(t, respond(stdout("Content-Type: text/html\r\nX-Powered-By: test\r\n\r\n<p>hello</p>"), end(0))).client(t)
	r := &Request{Params: usual}
	n := testing.AllocsPerRun(200, func() {
		resp, err := c.Do(context.Background(), r, nil)
		if err != nil || string(resp.Data) != "<p>hello</p>" {
			t.Fatal(resp, err)
		}
	})
	if n > 3 {
		t.Errorf("%v allocations, want 3", n)
	}
	var p Pending
	r.Loop = upstreamtest.Loop{}
	n = testing.AllocsPerRun(200, func() {
		if !c.Start(context.Background(), r, nil, &p) {
			t.Fatal("it cannot be paused")
		}
		if resp, _, err := p.Resume(false); err != nil || string(resp.Data) != "<p>hello</p>" || !p.Free() {
			t.Fatal(resp, err)
		}
	})
	if n > 2 {
		t.Errorf("%v allocations of a paused request, want 2", n)
	}
}
