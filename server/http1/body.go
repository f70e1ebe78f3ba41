package http1

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// body reads a request body from the connection: a fixed number of bytes, or chunks. A
// backend may read it in a goroutine of its own, which may outlive the response.
type body struct {
	mu        sync.Mutex
	c         *conn
	left      int64 // of the body, or of the running chunk
	chunked   bool
	first     bool // the next chunk is the first one
	done      bool
	err       error
	total     int64
	mustAllow bool // the client waits for 100 Continue
}

var errChunk = errors.New("the chunked body is malformed")

func newBody(c *conn, h *head) *body {
	b := &body{c: c, left: h.contentLength, mustAllow: h.expectContinue}
	if h.contentLength < 0 {
		b.left, b.chunked, b.first = 0, true, true
	}
	return b
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, err := b.readLocked(p)
	if b.done {
		b.c.watch.bodyDone(b.c)
	}
	return n, err
}

func (b *body) readLocked(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.done {
		return 0, io.EOF
	}
	if b.mustAllow {
		b.mustAllow = false
		if b.err = b.c.writeContinue(); b.err != nil {
			return 0, b.err
		}
	}
	n, err := b.read(p)
	if err != nil && err != io.EOF {
		if b.err = err; errors.Is(err, io.EOF) {
			b.err = io.ErrUnexpectedEOF
		}
		return n, b.err
	}
	return n, err
}

func (b *body) read(p []byte) (int, error) {
	if b.chunked && b.left == 0 {
		if err := b.nextChunk(); err != nil {
			return 0, err
		}
		if b.done {
			return 0, io.EOF
		}
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.c.read(p)
	b.left -= int64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err == nil && b.left == 0 && !b.chunked {
		b.done = true
	}
	return n, err
}

// nextChunk reads the line before a chunk; chunk extensions are refused: nobody uses
// them, and they have hidden floods and smuggled requests.
func (b *body) nextChunk() error {
	if !b.first {
		if err := b.expectCRLF(); err != nil {
			return err
		}
	}
	b.first = false
	size, digits := int64(0), 0
	for {
		c, err := b.c.readByte()
		if err != nil {
			return err
		}
		if c == '\r' {
			break
		}
		v, ok := hexValue(c)
		if digits++; !ok || digits > 15 {
			return errChunk
		}
		size = size<<4 | int64(v)
	}
	if c, err := b.c.readByte(); err != nil || c != '\n' || digits == 0 {
		return orChunk(err)
	}
	if b.total += size; b.total > b.c.srv.limits.BodyBytes {
		return fmt.Errorf("the request body is longer than %d bytes", b.c.srv.limits.BodyBytes)
	}
	if size == 0 {
		return b.trailer()
	}
	b.left = size
	return nil
}

func orChunk(err error) error {
	if err != nil {
		return err
	}
	return errChunk
}

func (b *body) expectCRLF() error {
	for _, want := range [...]byte{'\r', '\n'} {
		if c, err := b.c.readByte(); err != nil || c != want {
			return orChunk(err)
		}
	}
	return nil
}

// trailer skips the trailer section, up to 8 KiB of it.
func (b *body) trailer() error {
	length := 0
	for n := 0; n < 8<<10; n++ {
		c, err := b.c.readByte()
		switch {
		case err != nil:
			return err
		case c == '\n' && length == 0:
			b.done = true
			return nil
		case c == '\n':
			length = 0
		case c != '\r':
			length++
		}
	}
	return errChunk
}

func hexValue(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// maxDrain is how much of a body that nobody read is skipped to keep a connection, in bytes.
const maxDrain = 256 << 10

// finish ends the body: it skips what nobody read, and reports whether the connection can
// go on. A Read that still waits is interrupted.
func (b *body) finish() bool {
	if !b.mu.TryLock() {
		b.c.rwc.SetReadDeadline(time.Unix(1, 0))
		b.mu.Lock()
		b.err = errOver
	}
	defer b.mu.Unlock()
	if b.done || b.mustAllow || b.err != nil {
		done := b.done
		b.err = errOver
		return done // a client that waits for 100 Continue sends either body or next request
	}
	buf := make([]byte, 16<<10)
	for skipped := 0; skipped < maxDrain && !b.done; {
		n, err := b.readLocked(buf)
		skipped += n
		if err != nil && !errors.Is(err, io.EOF) {
			return false
		}
	}
	b.err = errOver
	return b.done
}

var errOver = errors.New("the request is over")
