package server

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"luaserve/runtime"
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

func TestUnixSocketFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	withMode := func(mode fs.FileMode) *fakeSite {
		return &fakeSite{listeners: []runtime.Listener{{Address: "unix:" + path, Socket: &runtime.SocketFile{Mode: mode, UID: -1, GID: os.Getgid()}}}}
	}
	mode := func() fs.FileMode {
		t.Helper()
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	s, l, _ := start(t, withMode(0o660), Config{})
	if mode() != 0o660 {
		t.Errorf("the mode is %o", mode())
	}
	l.set(always(withMode(0o606)))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if mode() != 0o606 {
		t.Errorf("behind a reload the mode is %o", mode())
	}
	if os.Getuid() != 0 {
		other := withMode(0o600)
		other.listeners[0].Socket.UID = os.Getuid() + 1
		l.set(always(other))
		if err := s.Reload(); err == nil || !strings.Contains(err.Error(), "listen unix:"+path+": operation not permitted") {
			t.Errorf("a file for somebody else: got %v", err)
		}
	}
	s.Close()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("behind the end the file is there: %v", err)
	}
}

// A file that somebody else has put in the place of ours is not removed at the end.
func TestUnixSocketOfAnotherIsNotRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s, _, _ := start(t, &fakeSite{listen: []string{"unix:" + path}}, Config{})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	start(t, &fakeSite{name: "another", listen: []string{"unix:" + path}}, Config{})
	s.Close()
	if got, err := get(viaUnix(path), "http://x/"); err != nil || got != "another" {
		t.Errorf("got %q, %v", got, err)
	}
}

func viaUnix(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}}}
}

// namedSocket returns a socket as systemd opens one.
func namedSocket(t *testing.T, name string, l interface{ File() (*os.File, error) }) *os.File {
	t.Helper()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	named := os.NewFile(uintptr(fd), name)
	t.Cleanup(func() {
		named.Close()
		l.(net.Listener).Close()
	})
	return named
}

func TestInheritedSockets(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "s")
	unix, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + tcp.Addr().String()
	cfg := Config{Sockets: []*os.File{namedSocket(t, "web", tcp.(*net.TCPListener)), namedSocket(t, "admin", unix.(*net.UnixListener))}}
	s, l, _ := start(t, &fakeSite{name: "one", listen: []string{"systemd:web"}}, cfg)
	mustGet(t, url, "one")

	for _, c := range []struct {
		address   string
		tcp, unix bool
	}{
		{"systemd:", true, true},
		{"systemd:admin", false, true},
		{"systemd:web", true, false}, // again, behind a script that did not want it
	} {
		l.set(always(&fakeSite{name: c.address, listen: []string{c.address}}))
		if err := s.Reload(); err != nil {
			t.Fatalf("%s: %v", c.address, err)
		}
		if c.tcp {
			mustGet(t, url, c.address)
		}
		if !c.unix {
			continue
		}
		if got, err := get(viaUnix(path), "http://x/"); err != nil || got != c.address {
			t.Errorf("%s: got %q, %v", c.address, got, err)
		}
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("systemd's file is gone: %v", err)
	}
	if got, want := refuse(t, cfg, &fakeSite{listen: []string{"systemd:wob"}}),
		`listen systemd:wob: no socket of that name was opened for the server; there are ["web" "admin"]`; got != want {
		t.Errorf("an unknown name: got %q, want %q", got, want)
	}
	if got, want := refuse(t, Config{}, &fakeSite{listen: []string{"systemd:"}}),
		"listen systemd:: no sockets were opened for the server (LISTEN_FDS): is there a .socket unit?"; got != want {
		t.Errorf("no sockets: got %q, want %q", got, want)
	}
}
