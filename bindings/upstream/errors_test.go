package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestKinds(t *testing.T) {
	for _, tt := range []struct {
		kind   Kind
		name   string
		status int
	}{
		{Unavailable, "unavailable", 503},
		{Timeout, "timeout", 504},
		{BadResponse, "bad response", 502},
		{Canceled, "canceled", 499},
		{BadRequest, "bad request", 400},
		{Misconfigured, "misconfigured", 500},
		{0, "unknown", 502},
	} {
		if tt.kind.String() != tt.name || tt.kind.Status() != tt.status {
			t.Errorf("kind %d: got %s, %d", tt.kind, tt.kind, tt.kind.Status())
		}
		wrapped := fmt.Errorf("backend: %w", &Error{Kind: tt.kind})
		if got := KindOf(wrapped); got != tt.kind {
			t.Errorf("got %v, want %v", got, tt.kind)
		}
	}
	if got := KindOf(io.EOF); got != 0 {
		t.Errorf("got %v for an error of another type", got)
	}
}

func TestClassify(t *testing.T) {
	reason := errors.New("the client left")
	canceled, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	late, done := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer done()
	wrong := errors.New("not HTTP")
	op := func(err error) error { return &net.OpError{Op: "read", Net: "unix", Err: err} }
	for _, tt := range []struct {
		name string
		ctx  context.Context
		err  error
		kind Kind
		is   error
		text string
	}{
		{"too slow", t.Context(), op(os.ErrDeadlineExceeded), Timeout, os.ErrDeadlineExceeded, "no progress: i/o timeout"},
		{"closed", t.Context(), io.EOF, BadResponse, io.ErrUnexpectedEOF, "the peer closed the connection before the end: unexpected EOF"},
		{"closed halfway", t.Context(), io.ErrUnexpectedEOF, BadResponse, io.ErrUnexpectedEOF, "the peer closed the connection before the end: unexpected EOF"},
		{"reset", t.Context(), op(syscall.ECONNRESET), BadResponse, io.ErrUnexpectedEOF, "connection lost: unexpected EOF (connection reset by peer)"},
		{"reset, the cause", t.Context(), op(syscall.ECONNRESET), BadResponse, syscall.ECONNRESET, "connection lost: unexpected EOF (connection reset by peer)"},
		{"wrong", t.Context(), wrong, BadResponse, wrong, "not HTTP"},
		{"canceled", canceled, op(net.ErrClosed), Canceled, reason, "the client left"},
		{"deadline", late, op(net.ErrClosed), Timeout, context.DeadlineExceeded, "context deadline exceeded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := &Error{Proto: "fcgi", Op: "head", Addr: "/run/x.sock", Err: tt.err}
			e.Classify(tt.ctx, "peer")
			if want := "fcgi /run/x.sock: head: " + tt.text; e.Kind != tt.kind || e.Error() != want {
				t.Errorf("got %v, %v, want %v, %s", e.Kind, e, tt.kind, want)
			}
			if !errors.Is(e, tt.is) {
				t.Errorf("%v does not match %v", e, tt.is)
			}
		})
	}
}
