package server

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	for _, c := range []struct{ in, network, addr string }{
		{"127.0.0.1:8080", "tcp", "127.0.0.1:8080"},
		{"127.0.0.1", "tcp", "127.0.0.1:80"},
		{":8080", "tcp", ":8080"},
		{"[::1]:8080", "tcp", "[::1]:8080"},
		{"[::1]", "tcp", "[::1]:80"},
		{"::1", "tcp", "[::1]:80"},
		{"localhost", "tcp", "localhost:80"},
		{"unix:/run/site.sock", "unix", "/run/site.sock"},
	} {
		network, addr, err := parseAddress(c.in)
		if err != nil || network != c.network || addr != c.addr {
			t.Errorf("%q: got %s %s, %v; want %s %s", c.in, network, addr, err, c.network, c.addr)
		}
	}
	for _, in := range []string{"", "unix:", "127.0.0.1:http", "127.0.0.1:99999", "a:b:c", "127.0.0.1:"} {
		if _, addr, err := parseAddress(in); err == nil {
			t.Errorf("%q: got %s, want an error", in, addr)
		}
	}
}

// refuse starts a server that must not start and returns the error.
func refuse(t *testing.T, cfg Config, f *fakeSite) string {
	t.Helper()
	cfg.Log = slog.New(slog.DiscardHandler)
	s, err := newServer(cfg, (&loader{next: always(f)}).load)
	if err == nil {
		s.Close()
		t.Fatal("the server starts")
	}
	if !f.closed.Load() {
		t.Error("the site is still open")
	}
	return err.Error()
}

func TestRefusedStartLeavesNothingOpen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	socket := filepath.Join(t.TempDir(), "s")
	f := &fakeSite{listen: []string{"unix:" + socket, taken.Addr().String()}}
	want := "listen " + taken.Addr().String() + ": address already in use"
	if got := refuse(t, Config{}, f); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Error("the first listener is still open")
	}
}

func TestNoAddress(t *testing.T) {
	if got := refuse(t, Config{}, &fakeSite{}); !strings.Contains(got, "no address to listen on") || !strings.Contains(got, "--listen") {
		t.Errorf("got %q", got)
	}
}

func TestLoadError(t *testing.T) {
	broken := errors.New("site.lua:12: broken")
	_, err := newServer(Config{}, func(string) (site, error) { return nil, broken })
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestListenReplacesTheAddressesOfTheScript(t *testing.T) {
	f := &fakeSite{name: "site", listen: []string{"127.0.0.1:1"}}
	_, _, url := start(t, f, Config{Listen: []string{"127.0.0.1:0", "127.0.0.1:0"}})
	mustGet(t, url, "site")
}

func TestUnixSockets(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	start(t, &fakeSite{listen: []string{"unix:" + stale}}, Config{}) // takes its place

	if got, want := refuse(t, Config{}, &fakeSite{listen: []string{"unix:" + stale}}), "listen unix:"+stale+": address already in use"; got != want {
		t.Errorf("a socket in use: got %q, want %q", got, want)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := refuse(t, Config{}, &fakeSite{listen: []string{"unix:" + file}}); !strings.Contains(got, "no socket") {
		t.Errorf("a file: got %q", got)
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("the file is gone: %v", err)
	}
	if got := refuse(t, Config{}, &fakeSite{listen: []string{"unix:" + dir + "/none/s"}}); !strings.Contains(got, "no such file") {
		t.Errorf("a missing directory: got %q", got)
	}
}
