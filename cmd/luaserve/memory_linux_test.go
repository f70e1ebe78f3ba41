package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"luaserve/tests/backend"
)

const (
	slowClients = 64
	mostMemory  = 200 // MB that the process may have at its peak
)

// TestMemory sends 1 GB down to 64 slow clients, and 1 GB up to slow backends, over the three
// protocols at once, and looks at the peak of the server's memory: what one side does not take,
// the other has to keep. LUASERVE_MEMORY_MB replaces the size of each direction.
func TestMemory(t *testing.T) {
	total := 1024
	if testing.Short() {
		total = 128
	}
	if s := os.Getenv("LUASERVE_MEMORY_MB"); s != "" {
		var err error
		if total, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := os.MkdirTemp("", "mem")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	protocols := []backend.Protocol{backend.FCGI, backend.SCGI, backend.HTTP}
	script := "setup.listen '127.0.0.1:0'\nactions = {\n"
	for _, protocol := range protocols {
		socket := dir + "/" + string(protocol)
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		b := backend.Serve(l, protocol, tide)
		t.Cleanup(b.Close)
		script += fmt.Sprintf("when(request.path:prefix '/%s', { %[1]s 'unix:%s' }),\n", protocol, socket)
	}
	p := start(t, nil, "run", writeFile(t, dir, "site.lua", script+"}"))
	addr := strings.TrimPrefix(p.url, "http://")
	size := total << 20 / slowClients
	for _, direction := range []struct {
		name string
		run  func(t *testing.T, addr, target string, size int)
	}{{"down", slowDownload}, {"up", fastUpload}} {
		begin := time.Now()
		var wg sync.WaitGroup
		for i := range slowClients {
			target := fmt.Sprintf("/%s/%d", protocols[i%len(protocols)], size)
			wg.Go(func() { direction.run(t, addr, target, size) })
		}
		wg.Wait()
		peak := peakMemory(t, p.cmd.Process.Pid)
		t.Logf("%s: %d MB with %d clients in %.1f s: at most %d MB of memory", direction.name, total, slowClients, time.Since(begin).Seconds(), peak)
		if peak > mostMemory {
			t.Errorf("%s: %d MB of memory, want at most %d", direction.name, peak, mostMemory)
		}
	}
}

// peakMemory returns the most memory that a process has had, in MB.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(status), "VmHWM:")
	var kb int
	if _, err := fmt.Sscan(line, &kb); err != nil {
		t.Fatalf("VmHWM: %v", err)
	}
	return kb >> 10
}

// tide is a backend that answers GET /x/SIZE with SIZE bytes as fast as it can, and takes
// uploads slowly.
func tide(p *backend.Peer) {
	piece := strings.Repeat("x", 64<<10)
	for more := true; more; {
		var sink slowSink
		r, err := p.Receive(&sink)
		if err != nil {
			return
		}
		if r.Method == "POST" {
			got := strconv.Itoa(sink.n)
			p.Begin(len(got))
			p.Piece(got)
			more = p.End()
			continue
		}
		size, err := strconv.Atoi(path.Base(r.Target))
		if err != nil || p.Begin(-1) != nil {
			return
		}
		for ; size > 0; size -= len(piece) {
			if p.Piece(piece[:min(size, len(piece))]) != nil {
				return
			}
		}
		more = p.End()
	}
}

// slowSink counts what it is given, and rests a while for each 512 KB.
type slowSink struct{ n, next int }

func (s *slowSink) Write(b []byte) (int, error) {
	if s.n += len(b); s.n > s.next {
		s.next += 512 << 10
		time.Sleep(slowPause)
	}
	return len(b), nil
}

const slowPause = 50 * time.Millisecond

// connect returns a connection whose small buffer leaves the data with the server.
func connect(t *testing.T, addr string) (net.Conn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(5 * time.Minute))
	return c, c.(*net.TCPConn).SetReadBuffer(64 << 10)
}

func slowDownload(t *testing.T, addr, target string, size int) {
	c, err := connect(t, addr)
	if err != nil {
		t.Error(err)
		return
	}
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", target)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Error(err)
		return
	}
	var sink slowSink
	if _, err := io.Copy(&sink, resp.Body); err != nil || sink.n != size || resp.StatusCode != 200 {
		t.Errorf("%s: got %s, %d bytes, %v", target, resp.Status, sink.n, err)
	}
}

func fastUpload(t *testing.T, addr, target string, size int) {
	c, err := connect(t, addr)
	if err != nil {
		t.Error(err)
		return
	}
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", target, size)
	piece := make([]byte, 64<<10)
	for left := size; left > 0; left -= len(piece) {
		if _, err := c.Write(piece[:min(left, len(piece))]); err != nil {
			t.Error(err)
			return
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Error(err)
		return
	}
	if got, err := io.ReadAll(resp.Body); err != nil || string(got) != strconv.Itoa(size) {
		t.Errorf("%s: got %s, %q, %v", target, resp.Status, got, err)
	}
}
