package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// exchange is a request with the answer that it must get.
type exchange struct {
	host, path string
	closes     bool // each request has a connection of its own
	status     int
	header     [2]string // name and value of a field that the answer must have, if any
	body       []byte    // nil: any, for the error pages, which each server has of its own
}

func (e exchange) hostOrDefault() string {
	if e.host == "" {
		return hostName
	}
	return e.host
}

// verify sends the request of an exchange and compares the answer.
func (e exchange) verify(ctx context.Context, addr string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+e.path, nil)
	if err != nil {
		return err
	}
	req.Host, req.Close = e.hostOrDefault(), true
	c, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	if err := req.Write(c); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), req)
	if err != nil {
		return fmt.Errorf("GET %s: %w", e.path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("GET %s: %w", e.path, err)
	}
	return e.compare(resp.StatusCode, resp.Header, body)
}

func (e exchange) compare(status int, header http.Header, body []byte) error {
	what := fmt.Sprintf("GET %s of %s", e.path, e.hostOrDefault())
	if status != e.status {
		return fmt.Errorf("%s: expected status %d, got %d", what, e.status, status)
	}
	if name, value := e.header[0], e.header[1]; name != "" && header.Get(name) != value {
		return fmt.Errorf("%s: expected %s: %s, got %q", what, name, value, header.Get(name))
	}
	if e.body != nil && !bytes.Equal(body, e.body) {
		return fmt.Errorf("%s: expected the %d bytes %.40q, got the %d bytes %.40q", what, len(e.body), e.body, len(body), body)
	}
	return nil
}
