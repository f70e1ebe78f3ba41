package httpproxy

import (
	"io"
	"net"
	"time"
)

// scripted is a connection that takes everything and answers from a reader.
type scripted struct{ answer io.Reader }

func (s *scripted) Read(p []byte) (int, error)       { return s.answer.Read(p) }
func (s *scripted) Write(p []byte) (int, error)      { return len(p), nil }
func (s *scripted) Close() error                     { return nil }
func (s *scripted) LocalAddr() net.Addr              { return nil }
func (s *scripted) RemoteAddr() net.Addr             { return nil }
func (s *scripted) SetDeadline(time.Time) error      { return nil }
func (s *scripted) SetReadDeadline(time.Time) error  { return nil }
func (s *scripted) SetWriteDeadline(time.Time) error { return nil }
