package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// conversation is a connection whose client has said everything already.
type conversation struct {
	io.Reader
	bytes.Buffer
}

func (c *conversation) Read(p []byte) (int, error) { return c.Reader.Read(p) }

func fastcgiRequest(id uint16, flags byte) []byte {
	out := record(nil, beginRequest, id, []byte{0, 1, flags, 0, 0, 0, 0, 0})
	out = record(out, 4, id, []byte("\x03\x01KEYv"))
	out = record(out, 4, id, nil)
	return record(out, stdin, id, nil)
}

func TestServeFastCGI(t *testing.T) {
	const page = "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
	two := append(fastcgiRequest(1, keepConn), fastcgiRequest(7, keepConn)...)
	for name, c := range map[string]struct {
		in   []byte
		want []byte
		err  string
	}{
		"kept":          {two, append(answer(1, page), answer(7, page)...), "EOF"},
		"not kept":      {append(fastcgiRequest(1, 0), fastcgiRequest(2, 0)...), answer(1, page), ""},
		"other version": {[]byte{2, 1, 0, 1, 0, 0, 0, 0}, nil, "version: expected 1, got 2"},
		"cut head":      {two[:5], nil, "unexpected EOF"},
		"cut content":   {two[:12], nil, "EOF"},
	} {
		conn := &conversation{Reader: bytes.NewReader(c.in)}
		err := serveFastCGI(conn, "hello")
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: got error %v, expected %q", name, err, c.err)
		}
		if !bytes.Equal(conn.Bytes(), c.want) {
			t.Errorf("%s: got %q, expected %q", name, conn.Bytes(), c.want)
		}
	}
}

func TestServeHTTP(t *testing.T) {
	const get, last = "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	for in, answers := range map[string]int{get + get: 2, get + last + get: 2, get[:25]: 0} {
		conn := &conversation{Reader: strings.NewReader(in)}
		err := serveHTTP(conn, "hello")
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %v", in, err)
		}
		if got := strings.Count(conn.String(), "\r\n\r\nhello"); got != answers {
			t.Errorf("%q: expected %d answers, got %d", in, answers, got)
		}
	}
}

func FuzzServeFastCGI(f *testing.F) {
	f.Add(fastcgiRequest(1, keepConn))
	f.Add([]byte{1, 1, 0, 1, 0, 8, 0, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		conn := &conversation{Reader: bytes.NewReader(in)}
		_ = serveFastCGI(conn, "x") // must end
		if len(conn.Bytes()) > 128*len(in) {
			t.Errorf("%d bytes were answered to %d", len(conn.Bytes()), len(in))
		}
	})
}
