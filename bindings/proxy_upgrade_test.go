package bindings_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"luaserve/runtime"
	"luaserve/server/http1"
)

// frontEnds are the ways in which a site is served.
var frontEnds = map[string]func(t *testing.T, s *luaSite) (addr string){
	"net/http": func(t *testing.T, s *luaSite) string { return s.listen(t) },
	"http1":    listenHTTP1,
}

func listenHTTP1(t *testing.T, s *luaSite) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := http1.New(http1.Config{Handle: s.Handle, Log: slog.New(slog.DiscardHandler)})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			address := func(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }
			go server.ServeConn(c, runtime.Connection{Local: address(c.LocalAddr()), Remote: address(c.RemoteAddr())}, nil)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		server.Close()
	})
	return l.Addr().String()
}

// echoServer sends every WebSocket message back, behind the path that it was asked for.
func echoServer(t *testing.T) (addr string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true, Subprotocols: []string{"parrot"}})
		if err != nil {
			return
		}
		c.SetReadLimit(4 << 20)
		for {
			kind, message, err := c.Read(r.Context())
			if err != nil {
				c.Close(websocket.StatusNormalClosure, "bye")
				return
			}
			if c.Write(r.Context(), kind, append([]byte(r.URL.Path+" "), message...)) != nil {
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func TestProxyWebSocket(t *testing.T) {
	for name, serve := range frontEnds {
		t.Run(name, func(t *testing.T) {
			site := luaScript(t, fmt.Sprintf(`actions = { rewrite { "^/old", "/new" }, proxy %q }`, echoServer(t)))
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			c, resp, err := websocket.Dial(ctx, "ws://"+serve(t, site)+"/old", &websocket.DialOptions{Subprotocols: []string{"parrot"}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.CloseNow()
			if c.Subprotocol() != "parrot" || resp.Header.Get("Sec-Websocket-Accept") == "" {
				t.Errorf("the upstream's header did not come through: %v", resp.Header)
			}
			c.SetReadLimit(4 << 20)
			for _, size := range []int{0, 1, 125, 126, 70_000, 1 << 20} {
				want := bytes.Repeat([]byte{'x'}, size)
				if err := c.Write(ctx, websocket.MessageBinary, want); err != nil {
					t.Fatal(err)
				}
				_, got, err := c.Read(ctx)
				if err != nil || string(got) != "/new "+string(want) {
					t.Fatalf("%d bytes: got %d, %v", size, len(got), err)
				}
			}
			if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
				t.Errorf("the closing handshake: %v", err)
			}
		})
	}
}

const upgradeHead = "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"

// switching is an upstream that agrees to any upgrade and then does what serve does.
func switching(t *testing.T, serve func(c net.Conn, r *bufio.Reader)) (addr string) {
	return rawUpstream(t, func(c net.Conn, r *bufio.Reader) {
		readHead(r)
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nX-Up: 1\r\n\r\nhello")
		serve(c, r)
	})
}

// The bytes that either side sends right behind its head, and the end of either side.
func TestProxyTunnelEnds(t *testing.T) {
	for name, serve := range frontEnds {
		t.Run(name, func(t *testing.T) {
			heard := make(chan string, 1)
			up := switching(t, func(c net.Conn, r *bufio.Reader) {
				all, _ := io.ReadAll(r) // until the client says that it is done
				heard <- string(all)
				io.WriteString(c, " and bye")
			})
			site := luaScript(t, fmt.Sprintf(`actions = { accesslog.format "%%s %%b", proxy %q }`, up))
			c, r := speak(t, serve(t, site), upgradeHead+"early")
			head := readHead(r)
			for _, want := range []string{"HTTP/1.1 101 Switching Protocols\r\n", "\r\nConnection: Upgrade\r\n", "\r\nUpgrade: WebSocket\r\n", "\r\nX-Up: 1\r\n"} {
				if !strings.Contains(head, want) {
					t.Errorf("the head lacks %q:\n%s", want, head)
				}
			}
			io.WriteString(c, " and late")
			c.(*net.TCPConn).CloseWrite()
			if got := <-heard; got != "early and late" {
				t.Errorf("the upstream got %q", got)
			}
			if got, err := io.ReadAll(r); string(got) != "hello and bye" || err != nil {
				t.Errorf("the client got %q, %v", got, err)
			}
		})
	}
}

func TestProxyTunnelIsCut(t *testing.T) {
	for name, serve := range frontEnds {
		t.Run(name, func(t *testing.T) {
			gone := make(chan error, 1)
			up := switching(t, func(c net.Conn, r *bufio.Reader) {
				_, err := r.ReadByte()
				gone <- err
			})
			site := luaScript(t, fmt.Sprintf(`actions = {
				when(request.path:eq "/idle", { proxy { socket = %q, read_timeout = 0.05 } }),
				proxy %q }`, up, up))
			addr := serve(t, site)
			t.Run("by the client", func(t *testing.T) {
				c, r := speak(t, addr, upgradeHead)
				readHead(r)
				c.(*net.TCPConn).SetLinger(0)
				c.Close()
				if err := <-gone; err == nil {
					t.Error("the upstream got a byte")
				}
			})
			t.Run("when nothing comes", func(t *testing.T) {
				var head string
				var got []byte
				for range 5 { // when the machine stands still the time is over before the upstream has said anything
					_, r := speak(t, addr, strings.Replace(upgradeHead, "/", "/idle", 1))
					head = readHead(r)
					if err := <-gone; err == nil {
						t.Error("the upstream got a byte")
					}
					if strings.Contains(head, " 504 ") {
						continue
					}
					if got, _ = io.ReadAll(r); string(got) == "hello" {
						return
					}
				}
				t.Errorf("the client got %q", head+string(got))
			})
			t.Run("by a later action", func(t *testing.T) {
				denied := luaScript(t, fmt.Sprintf(`actions = { proxy %q, set_status(403) }`, up))
				_, r := speak(t, serve(t, denied), upgradeHead)
				if head := readHead(r); !strings.HasPrefix(head, "HTTP/1.1 403 ") || strings.Contains(head, "Upgrade") {
					t.Errorf("got %q", head)
				}
				if err := <-gone; err == nil {
					t.Error("the upstream got a byte")
				}
			})
		})
	}
}

// What is not passed on, and what an upstream may not answer.
func TestProxyUpgradeRefused(t *testing.T) {
	heads := make(chan string, 1)
	up := rawUpstream(t, func(c net.Conn, r *bufio.Reader) {
		head := readHead(r)
		if strings.Contains(head, "\r\nContent-Length: 2\r\n") {
			io.CopyN(io.Discard, r, 2)
		}
		heads <- head
		answer := "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
		if strings.Contains(head, "X-Switch") {
			answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
		}
		io.WriteString(c, answer)
	})
	site := luaScript(t, fmt.Sprintf(`actions = {
		when(request.path:eq "/none", { proxy { socket = %q, upgrade = {} } }),
		when(request.path:eq "/chat", { proxy { socket = %q, upgrade = { "chat" } } }),
		proxy %q }`, up, up, up))
	const wants, wantsNot = true, false
	for name, tt := range map[string]struct {
		request string
		passed  bool
		status  int
	}{
		"refused by the upstream": {upgradeHead, wants, 200},
		"h2c":                     {strings.Replace(upgradeHead, "websocket", "h2c", 1), wantsNot, 200},
		"allowed by the script":   {strings.NewReplacer("/ ", "/chat ", "websocket", "Chat").Replace(upgradeHead), wants, 200},
		"forbidden by the script": {strings.Replace(upgradeHead, "/ ", "/none ", 1), wantsNot, 200},
		"not for this connection": {strings.Replace(upgradeHead, ", Upgrade", "", 1), wantsNot, 200},
		"http 1.0":                {strings.Replace(upgradeHead, "1.1", "1.0", 1), wantsNot, 200},
		"with a body":             {strings.NewReplacer("GET", "POST", "\r\n\r\n", "\r\nContent-Length: 2\r\n\r\nab").Replace(upgradeHead), wantsNot, 200},
		"another protocol":        {strings.Replace(upgradeHead, "Host", "X-Switch: 1\r\nHost", 1), wants, 502},
		"never asked for":         {"GET / HTTP/1.1\r\nHost: a\r\nX-Switch: 1\r\nConnection: close\r\n\r\n", wantsNot, 502},
	} {
		t.Run(name, func(t *testing.T) {
			_, r := speak(t, listenHTTP1(t, site), tt.request)
			if got := readHead(r); !strings.Contains(got, fmt.Sprintf(" %d ", tt.status)) {
				t.Fatalf("got %s\n%s", got, site.log)
			}
			head := <-heads
			if passed := strings.Contains(head, "\r\nConnection: Upgrade\r\nUpgrade: "); passed != tt.passed {
				t.Errorf("the upstream got:\n%s", head)
			}
		})
	}
}
