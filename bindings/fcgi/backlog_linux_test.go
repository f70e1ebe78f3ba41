package fcgi

import (
	"bufio"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"luaserve/bindings/upstream"
)

// fullBacklog returns a unix socket whose backlog has no room for one more connection.
func fullBacklog(t *testing.T) (path string, l net.Listener) {
	t.Helper()
	path, l = smallBacklog(t)
	fill(t, path)
	return path, l
}

// fill connects to a socket until it takes no more, and returns the connections.
func fill(t *testing.T, path string) (all []net.Conn) {
	for {
		c, err := net.Dial("unix", path)
		if err != nil {
			return all
		}
		t.Cleanup(func() { c.Close() })
		all = append(all, c)
	}
}

// smallBacklog returns a unix socket where one connection may wait to be accepted.
func smallBacklog(t *testing.T) (path string, l net.Listener) {
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
	return path, l
}

func TestBacklogFull(t *testing.T) {
	path, _ := fullBacklog(t)
	c := NewClient(Config{Config: upstream.Config{Network: "unix", Address: path, ConnectTimeout: 50 * time.Millisecond}})
	_, err := c.Do(guard(t), get(), nil)
	if e := wantError(t, err, "dial", upstream.Timeout); e.Sent {
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
	c := NewClient(Config{Config: upstream.Config{Network: "unix", Address: path, ConnectTimeout: time.Minute}})
	if _, body := mustFetch(t, c, get()); body != "body" {
		t.Errorf("got %q", body)
	}
}

// A connection that is done does not keep the only worker while others cannot even connect.
func TestBacklogGetsWorker(t *testing.T) {
	path, l := smallBacklog(t)
	gate, begun := make(chan struct{}), make(chan struct{}, 2)
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			p := &peer{Conn: nc, r: bufio.NewReader(nc)}
			for {
				if _, err := p.request(); err != nil {
					break
				}
				begun <- struct{}{}
				<-gate
				p.send(stdout("\nbody"), end(0))
			}
			nc.Close()
		}
	}()
	c := NewClient(Config{Config: upstream.Config{Network: "unix", Address: path, ConnectTimeout: 20 * time.Second}})
	defer c.Close()
	var wg sync.WaitGroup
	wg.Go(func() { tryFetch(t, c, get()) })
	<-begun
	silent := fill(t, path)
	wg.Go(func() { tryFetch(t, c, get()) })
	for !c.pool.Starving() {
		time.Sleep(time.Millisecond)
	}
	for _, nc := range silent { // or the worker would wait for their requests
		nc.Close()
	}
	close(gate)
	wg.Wait()
}
