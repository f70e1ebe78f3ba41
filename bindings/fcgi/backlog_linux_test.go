package fcgi

import (
	"bufio"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// fullBacklog returns a unix socket whose backlog has no room for one more connection.
func fullBacklog(t *testing.T) (path string, l net.Listener) {
	t.Helper()
	path = socketPath(t)
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "listener")
	l, err = net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	t.Cleanup(func() { l.Close() })
	for {
		c, err := net.Dial("unix", path)
		if err != nil {
			return path, l
		}
		t.Cleanup(func() { c.Close() })
	}
}

func TestBacklogFull(t *testing.T) {
	path, _ := fullBacklog(t)
	c := NewClient(Config{Network: "unix", Address: path, ConnectTimeout: 50 * time.Millisecond})
	_, err := c.Do(guard(t), get(), nil)
	if e := wantError(t, err, "dial", Timeout); e.Sent {
		t.Error("reported as sent")
	}
}

func TestBacklogClears(t *testing.T) {
	path, l := fullBacklog(t)
	go func() {
		time.Sleep(30 * time.Millisecond)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				once(stdout("\nbody"), end(0))(&peer{Conn: nc, r: bufio.NewReader(nc)})
				nc.Close()
			}()
		}
	}()
	c := NewClient(Config{Network: "unix", Address: path, ConnectTimeout: time.Minute})
	if _, body := mustFetch(t, c, get()); body != "body" {
		t.Errorf("got %q", body)
	}
}
