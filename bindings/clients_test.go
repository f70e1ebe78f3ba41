package bindings_test

import (
	"fmt"
	"io"
	"net"
	"strings"
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

// So do the clients of memcached that scripts make.
func TestMemcachedMadeInHandlers(t *testing.T) {
	var open atomic.Int64
	handler := luaScript(t, `actions = function(vr)
		local con = memcached.new("127.0.0.1:" .. vr.req.uri.query)
		con:get("key", function() end)
		vr:handle_direct(); vr.resp.status = 200
	end`)
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				open.Add(1)
				go func() {
					defer open.Add(-1)
					defer c.Close()
					for buf := make([]byte, 1024); ; {
						if _, err := c.Read(buf); err != nil {
							return
						}
						io.WriteString(c, "END\r\n")
					}
				}()
			}
		}()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		if r := handler.ask("GET", "/?"+port); r.StatusCode != 200 {
			t.Fatalf("status %d\n%s", r.StatusCode, handler.log)
		}
	}
	for end := time.Now().Add(10 * time.Second); open.Load() > 64; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d connections are open", open.Load())
		}
	}
	if n := open.Load(); n < 32 {
		t.Errorf("only %d connections are kept", n)
	}
	handler.Close()
	for end := time.Now().Add(10 * time.Second); open.Load() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d connections are open when the program is closed", open.Load())
		}
	}
}

// Programs that handlers run count together when their limits are the same, and of different
// limits there are only so many. Log files that handlers name stay open, so they are bounded, too.
func TestWhatHandlersMakeIsBounded(t *testing.T) {
	dir := t.TempDir()
	for name, tt := range map[string]struct {
		action   string
		most     int
		complain string
	}{
		"cgi":       {`cgi { program = "/bin/true", timeout = 1 + n }`, 64, "64 different limits already"},
		"accesslog": {`accesslog("` + dir + `/access" .. n)`, 256, "256 log files are open already"},
		"log":       {`log { default = "` + dir + `/log" .. n }`, 256, "256 log files are open already"},
	} {
		t.Run(name, func(t *testing.T) {
			site := luaScript(t, `setup.lua.sandbox "trusted" actions = function(vr)
				local n = tonumber(vr.req.uri.query)
				local _ = action.`+tt.action+`
				vr:handle_direct(); vr.resp.status = 200
			end`)
			for round := range 2 {
				for n := range tt.most {
					if r := site.ask("GET", fmt.Sprint("/?", n)); r.StatusCode != 200 {
						t.Fatalf("round %d, %d: status %d\n%s", round, n, r.StatusCode, site.log)
					}
				}
			}
			if r := site.ask("GET", fmt.Sprint("/?", tt.most)); r.StatusCode != 500 || !strings.Contains(site.log.String(), tt.complain) {
				t.Errorf("one more: status %d\n%.1000s", r.StatusCode, site.log)
			}
			if r := site.ask("GET", "/?0"); r.StatusCode != 200 {
				t.Errorf("a known one: status %d", r.StatusCode)
			}
		})
	}
}
