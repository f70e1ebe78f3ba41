package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// waitingKinds are the clients that a server has to wait for.
var waitingKinds = []struct {
	name string
	open func(c net.Conn) error
}{
	{"idle", func(c net.Conn) error { // between two requests
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+hostName+"\r\n\r\n"); err != nil {
			return err
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}},
	{"slow", func(c net.Conn) error { // in the middle of a request head
		_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+hostName+"\r\nX-Slow: ")
		return err
	}},
}

// idle measures what n connections cost a server that wait, in bytes of its memory for each.
// What the kernel has for them is not in it, nor in the memory of any of the servers.
func (b *bench) idle(ctx context.Context, n int) error {
	w := workloads()[0]
	for _, s := range b.servers {
		for _, kind := range waitingKinds {
			bytes, err := b.waiting(ctx, s, w, n, kind.open)
			if err != nil {
				return fmt.Errorf("%s connections to %s: %w", kind.name, s.name, err)
			}
			fmt.Fprintf(b.log, "%-9s %s connections: %6d bytes each\n", s.name, kind.name, bytes)
		}
	}
	return nil
}

func (b *bench) waiting(ctx context.Context, s server, w workload, n int, open func(net.Conn) error) (int64, error) {
	at := *b
	at.Connections = n
	c, err := at.start(ctx, s, w)
	if c.running != nil {
		defer c.stop()
	}
	if err != nil {
		return 0, err
	}
	before, err := c.resident()
	if err != nil {
		return 0, err
	}
	for range n {
		conn, err := net.DialTimeout("tcp", c.addr, 10*time.Second)
		if err != nil {
			return 0, err
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(time.Minute))
		if err := open(conn); err != nil {
			return 0, c.failed(err)
		}
	}
	time.Sleep(time.Second) // the last one was taken
	after, err := c.resident()
	return (after - before) / int64(n), err
}

// resident is the memory that the processes of a server have now.
func (c contender) resident() (int64, error) {
	proc := os.DirFS("/proc")
	processes, err := tree(proc, c.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	return sum(proc, processes, "VmRSS:")
}
