package tests

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"luaserve/bindings"
	"luaserve/runtime"
	"luaserve/scripts"
	"luaserve/server"
)

// running is a server with its script, for tests that listen in several ways.
type running struct {
	*server.Server
	t      *testing.T
	expand *strings.Replacer
	file   string
	log    *logBuffer
	stop   func()
}

// run serves a script until the test ends. In the script $A, $B and $C are addresses.
func run(t *testing.T, script string) *running {
	t.Helper()
	r := &running{t: t, file: filepath.Join(t.TempDir(), "site.lua"), log: &logBuffer{}}
	var pairs []string
	for _, name := range []string{"$A", "$B", "$C"} {
		pairs = append(pairs, name, "127.0.0.1:"+strconv.Itoa(freePort(t)))
	}
	r.expand = strings.NewReplacer(pairs...)
	r.write(script)
	logger := slog.New(&lineHandler{w: r.log})
	srv, err := server.New(server.Config{
		Site: r.file,
		Load: func(path string) (*runtime.Program, error) {
			return runtime.Load(path, runtime.Config{Modules: bindings.Modules(), Scripts: scripts.FS, Log: logger})
		},
		Log: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Server = srv
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	t.Cleanup(func() {
		r.stop()
		if t.Failed() {
			t.Logf("log of the server:\n%s", r.log)
		}
	})
	return r
}

func (r *running) write(script string) {
	r.t.Helper()
	if err := os.WriteFile(r.file, []byte(r.expand.Replace(script)), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// reload serves another script from now on.
func (r *running) reload(script string) {
	r.t.Helper()
	r.write(script)
	if err := r.Reload(); err != nil {
		r.t.Fatal(err)
	}
}

// addr is the address of the i-th listener.
func (r *running) addr(i int) string { return r.Addrs()[i].String() }

// tool returns the path of a program, which CI must have.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("LUASERVE_REQUIRE_BACKENDS") == "1" {
		t.Fatalf("%s is missing, and LUASERVE_REQUIRE_BACKENDS is 1", name)
	}
	if err != nil {
		t.Skipf("%s is missing", name)
	}
	return path
}

// output runs a program and returns what it prints.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, tool(t, name), args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// tlsClient speaks to addr, whatever host the URL names, with or without HTTP/2.
func tlsClient(t *testing.T, addr string, cfg *tls.Config, http2 bool) *http.Client {
	transport := &http.Transport{TLSClientConfig: cfg, Protocols: &http.Protocols{}, DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		}}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetHTTP2(http2)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// unixClient speaks to a unix socket, whatever host the URL names.
func unixClient(t *testing.T, path string) *http.Client {
	client := tlsClient(t, "", nil, false)
	client.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	return client
}

// trusting is the configuration of a client that trusts a CA and may show a certificate.
func trusting(pool *x509.CertPool, show ...tls.Certificate) *tls.Config {
	return &tls.Config{RootCAs: pool, Certificates: show}
}

// fetch returns the body of an answer with the status 200.
func fetch(client *http.Client, url string) (body string, resp *http.Response, err error) {
	resp, err = client.Get(url)
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), resp, err
}

// mustFetch is fetch for a request that must be answered with the status 200.
func mustFetch(t *testing.T, client *http.Client, url string) (string, *http.Response) {
	t.Helper()
	body, resp, err := fetch(client, url)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %v, %v, %q", url, resp, err, body)
	}
	return body, resp
}

func TestListenTable(t *testing.T) {
	path := shortDir(t) + "/s"
	run(t, fmt.Sprintf("setup.listen { { address = 'unix:%s', mode = '0620', group = %d }, '$A' }\nactions = respond 'ok'", path, os.Getgid()))
	if body, _ := mustFetch(t, unixClient(t, path), "http://site.example/"); body != "ok" {
		t.Errorf("got %q", body)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o620 {
		t.Errorf("the mode is %v, %v", info.Mode(), err)
	}
}

// waitFor waits until a condition holds.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not come about", what)
		}
	}
}
