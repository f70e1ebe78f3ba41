package tests

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"luaserve/tests/pki"
)

// Files that are asked for again and again, and are kept because of that, come whole to everybody
// and as they are now; one that is cut while it is sent does not look as if it were complete.
func TestKeptFilesOverConnections(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := pki.Authority(t, "CA")
	ca.Server(t, "site.example").Write(t, dir+"/site.pem")
	random := rand.New(rand.NewPCG(1, 2))
	put := func(name string, size int) []byte {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		if err := os.WriteFile(dir+"/"+name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return b
	}
	short, long, huge := put("short", 1000), put("long", 100_000), put("huge", 16<<20)
	r := run(t, fmt.Sprintf(`setup.listen "$A"
		setup.openssl { listen = "$B", pemfile = %q }
		actions = { docroot %q, static() }`, dir+"/site.pem", dir))
	time.Sleep(3100 * time.Millisecond) // what was changed just now is not kept
	clients := map[string]*http.Client{}
	for scheme, addr := range map[string]string{"http": r.addr(0), "https": r.addr(1)} {
		cfg := trusting(ca.Pool())
		cfg.ServerName = "site.example"
		clients[scheme] = &http.Client{Timeout: time.Minute, Transport: &http.Transport{
			TLSClientConfig: cfg, TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
			DialContext: func(context.Context, string, string) (net.Conn, error) {
				c, err := net.Dial("tcp", addr)
				if err == nil {
					c.(*net.TCPConn).SetReadBuffer(64 << 10)
				}
				return c, err
			},
		}}
		t.Cleanup(clients[scheme].CloseIdleConnections)
	}
	get := func(scheme, name string, more func(*http.Response)) ([]byte, error) {
		resp, err := clients[scheme].Get(scheme + "://site.example/" + name)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		if more != nil {
			more(resp)
		}
		return io.ReadAll(resp.Body)
	}
	for scheme := range clients {
		for range 5 {
			for name, want := range map[string][]byte{"short": short, "long": long, "huge": huge} {
				if got, err := get(scheme, name, nil); !bytes.Equal(got, want) || err != nil {
					t.Fatalf("%s %s: got %d bytes, %v; want %d", scheme, name, len(got), err, len(want))
				}
			}
		}
	}
	for scheme := range clients {
		for name, size := range map[string]int{"short": 1000, "long": 100_000} {
			want := put(name, size)
			if got, err := get(scheme, name, nil); !bytes.Equal(got, want) || err != nil {
				t.Errorf("%s %s, changed: got %d bytes, %v, or others", scheme, name, len(got), err)
			}
		}
	}
	if _, err := get("http", "huge", func(*http.Response) {
		if err := os.Truncate(dir+"/huge", 1<<20); err != nil {
			t.Fatal(err)
		}
	}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a file that is cut while it is sent: %v", err)
	}
	if got, err := get("http", "huge", nil); !bytes.Equal(got, huge[:1<<20]) || err != nil {
		t.Errorf("and then: got %d bytes, %v", len(got), err)
	}
}
