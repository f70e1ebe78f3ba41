package http1

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"luaserve/runtime"
)

// body reads a request body from the connection: a fixed number of bytes, or chunks. A
// backend may read it in a goroutine of its own, which may outlive the response: once stop
// has returned, such a Read touches nothing but the body itself.
type body struct {
	mu      sync.Mutex
	c       *conn
	left    int64 // of the body, or of the running chunk
	chunked bool
	first   bool // the next chunk is the first one
	done    bool
	broken  bool // where the body goes on is not known any more
	err     error
	total   int64
	pace    runtime.Patience
	over    atomic.Bool // stop waits for the reader
	expects bool        // the request has Expect: 100-continue

	allowMu   sync.Mutex // held while 100 Continue is written
	mustAllow bool       // the client waits for 100 Continue
}

var errChunk = errors.New("the chunked body is malformed")

func newBody(c *conn, h *head) *body {
	b := &body{c: c, left: h.contentLength, expects: h.expectContinue, mustAllow: h.expectContinue}
	if h.contentLength < 0 {
		b.left, b.chunked, b.first = 0, true, true
	}
	return b
}

// complete reports whether the whole body was read. It does not wait for a Read.
func (b *body) complete() bool {
	if !b.mu.TryLock() {
		return false // that Read tells the watcher when it reaches the end
	}
	defer b.mu.Unlock()
	return b.done
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.readLocked(p)
	if b.done {
		b.c.watch.bodyDone(b.c)
	}
	return n, err
}

func (b *body) readLocked(p []byte) (int, error) {
	if b.done {
		return 0, io.EOF
	}
	if b.expects {
		if b.err = b.allow(); b.err != nil {
			b.broken = true
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

// allow tells a client that waits for it to send the body.
func (b *body) allow() error {
	b.allowMu.Lock()
	defer b.allowMu.Unlock()
	if !b.mustAllow {
		return nil
	}
	b.mustAllow = false
	return b.c.writeContinue()
}

// answered is called before the head of the answer is written: 100 Continue cannot follow
// it. It reports whether the client still waited for that: whether a body or the next
// request comes then, nobody can tell.
func (b *body) answered() bool {
	if !b.expects {
		return false
	}
	b.allowMu.Lock()
	defer b.allowMu.Unlock()
	waits := b.mustAllow
	b.mustAllow = false
	return waits
}

func (b *body) read(p []byte) (int, error) {
	if b.chunked && b.left == 0 {
		if err := b.nextChunk(); err != nil {
			b.broken = true
			if err == io.EOF {
				err = io.ErrUnexpectedEOF // only the last chunk ends the body
			}
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
	if err != nil && !b.over.Load() {
		b.broken = true
	}
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
	if b.total += size; b.total > b.c.limits.BodyBytes {
		return fmt.Errorf("%w: more than %d bytes", runtime.ErrBodyTooLarge, b.c.limits.BodyBytes)
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

// trailer skips the trailer section, up to 8 KiB of it. Its lines must be like those of a
// head: where this server takes it for over, every other one has to.
func (b *body) trailer() error {
	var fields head
	line := make([]byte, 0, 128)
	for n := 0; n < 8<<10; n++ {
		c, err := b.c.readByte()
		switch {
		case err != nil:
			return err
		case c != '\n':
			line = append(line, c)
			continue
		case len(line) == 0 || line[len(line)-1] != '\r':
			return errChunk
		case len(line) == 1:
			b.done = true
			return nil
		}
		if fields.parseField(string(line[:len(line)-1])) != nil {
			return errChunk
		}
		line = line[:0]
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

// stop ends the reading for good: it interrupts a Read that still waits, and later ones
// fail without touching the connection.
func (b *body) stop() {
	if !b.mu.TryLock() {
		// the reader looks at over after it has set its deadline, so either it sees over or
		// this deadline is the later one
		b.over.Store(true)
		b.c.rwc.SetReadDeadline(time.Unix(1, 0))
		b.mu.Lock()
	}
	b.err = errOver
	b.mu.Unlock()
}

// drain skips what nobody read of a stopped body, and reports whether the next request
// follows.
func (b *body) drain() bool {
	if b.done || b.broken {
		return b.done
	}
	b.over.Store(false)
	buf := b.c.out.buf
	buf = buf[:cap(buf)]
	for skipped := 0; skipped < maxDrain && !b.done; {
		n, err := b.read(buf)
		skipped += n
		if err != nil {
			break
		}
	}
	return b.done
}

var errOver = errors.New("the request is over")
