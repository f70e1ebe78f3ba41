package fcgi

import (
	"bufio"
	"bytes"
	"net"
	"time"
)

// scripted is a connection whose other end said everything in advance. What is written to
// it is forgotten; chunk limits how much a read gives.
type scripted struct {
	net.Conn
	data   *bytes.Reader
	chunk  int
	closed bool
	fail   error // of writing
}

func (s *scripted) Read(p []byte) (int, error) {
	if s.closed {
		return 0, net.ErrClosed
	}
	if s.chunk > 0 && len(p) > s.chunk {
		p = p[:s.chunk]
	}
	return s.data.Read(p)
}

func (s *scripted) Write(p []byte) (int, error) {
	if s.fail != nil {
		return 0, s.fail
	}
	return len(p), nil
}

func (s *scripted) Close() error                     { s.closed = true; return nil }
func (s *scripted) SetReadDeadline(time.Time) error  { return nil }
func (s *scripted) SetWriteDeadline(time.Time) error { return nil }

// pipe returns a connection that holds wire, and an application that reads from it.
func pipe(wire []byte) (*scripted, *peer) {
	s := &scripted{data: bytes.NewReader(wire)}
	return s, &peer{Conn: s, r: bufio.NewReader(s)}
}
