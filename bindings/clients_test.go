package bindings_test

import (
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"luaserve/tests/backend"
)

// Actions that are made in a handler, for each request, share the connections of those that
// were made alike; of any number of different ones, the last few keep theirs.
func TestBackendsMadeInHandlers(t *testing.T) {
	for _, protocol := range []backend.Protocol{backend.FCGI, backend.HTTP} {
		t.Run(string(protocol), func(t *testing.T) {
			var accepted, open atomic.Int64
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			b := backend.Serve(l, protocol, func(p *backend.Peer) {
				accepted.Add(1)
				open.Add(1)
				defer open.Add(-1)
				for more := true; more; {
					if _, err := p.Receive(io.Discard); err != nil {
						return
					}
					p.Begin(4)
					p.Piece("fine")
					more = p.End()
				}
			})
			t.Cleanup(b.Close)
			site := luaScript(t, fmt.Sprintf(`actions = function(vr)
				vr:enter_action(action.%s { socket = %q, idle_time = 30 + (tonumber(vr.req.uri.query) or 0) })
			end`, protocol, l.Addr()))
			ask := func(target string) {
				t.Helper()
				if r := site.ask("GET", target); r.StatusCode != 200 {
					t.Fatalf("%s: %d\n%s", target, r.StatusCode, site.log)
				}
			}
			for range 50 {
				ask("/")
			}
			if n := accepted.Load(); n != 1 {
				t.Errorf("%d connections for actions that are alike", n)
			}
			for i := range 200 {
				ask(fmt.Sprintf("/?%d", i))
			}
			for end := time.Now().Add(10 * time.Second); open.Load() > 64; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%d connections are open", open.Load())
				}
			}
			site.Close()
			for end := time.Now().Add(10 * time.Second); open.Load() > 0; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%d connections are open when the program is closed", open.Load())
				}
			}
		})
	}
}
