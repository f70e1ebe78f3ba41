package httpproxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"luaserve/bindings/upstream"
)

// maxExcess is how many bytes of chunk headers a body may have beyond what is usual: with
// extensions and tiny chunks an upstream could send much that is no body.
const maxExcess = 16 << 10

var (
	errChunk   = errors.New("a malformed chunk header")
	errExcess  = errors.New("too many bytes in chunk headers")
	errTrailer = errors.New("a too long trailer")
)

// readChunks reads a chunked body (RFC 9112 section 7.1): as much as is at hand, io.EOF together
// with the last of it.
func (b *body) readChunks(p []byte) (n int, err error) {
	cn := b.conn
	for {
		if b.left == 0 {
			if n > 0 && !b.headerAtHand() {
				return n, nil
			}
			if err := b.nextChunk(); err != nil {
				return n, lost(err)
			}
			if b.left == 0 {
				if err := b.readTrailer(); err != nil {
					return n, lost(err)
				}
				return n, io.EOF
			}
		}
		if n == len(p) || n > 0 && cn.r == cn.w {
			return n, nil
		}
		k, err := cn.Read(p[n:min(int64(len(p)), int64(n)+b.left)])
		n += k
		if b.left -= int64(k); err != nil {
			return n, lost(err)
		}
	}
}

// lost makes the end of the connection one that came too early.
func lost(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// headerAtHand reports whether the next chunk header is wholly in the buffer. The last one
// must have its trailer there as well.
func (b *body) headerAtHand() bool {
	ahead := b.conn.buffered()
	if b.begun {
		ahead = ahead[min(2, len(ahead)):]
	}
	i := bytes.IndexByte(ahead, '\n')
	if i < 0 {
		return false
	}
	if ahead[0] != '0' {
		return true
	}
	end, _ := upstream.HeadEnd(ahead[i+1:], 0)
	return end >= 0
}

// nextChunk reads the line before a chunk, and the line break behind the one before.
func (b *body) nextChunk() error {
	if b.begun {
		line, err := b.line(errChunk)
		if err != nil {
			return err
		}
		if line != "" {
			return errChunk
		}
	}
	b.begun = true
	line, err := b.line(errChunk)
	if err != nil {
		return err
	}
	size, _, _ := strings.Cut(line, ";")
	size = strings.TrimRight(size, " \t")
	if len(size) == 0 || len(size) > 15 {
		return errChunk
	}
	b.left = 0
	for i := range len(size) {
		digit := strings.IndexByte("0123456789abcdef", size[i]|0x20)
		if digit < 0 || size[i] < '0' {
			return errChunk
		}
		b.left = b.left<<4 | int64(digit)
	}
	// 16 bytes a chunk are free, and twice what the chunk has
	if b.excess = max(b.excess+int64(len(line))-16-2*b.left, 0); b.excess > maxExcess {
		return errExcess
	}
	return nil
}

// readTrailer reads the fields behind the last chunk.
func (b *body) readTrailer() error {
	for size := 0; ; {
		line, err := b.line(errTrailer)
		if err != nil || line == "" {
			return err
		}
		if size += len(line); size > maxExcess {
			return errTrailer
		}
		name, value, err := upstream.CutField(line)
		if err != nil {
			return fmt.Errorf("malformed trailer: %w", err)
		}
		if b.trailer != nil {
			b.trailer.add(name, value)
		}
	}
}

// line reads a line that ends in CRLF. One that does not fit the buffer is tooLong.
func (b *body) line(tooLong error) (string, error) {
	cn := b.conn
	for {
		ahead := cn.buffered()
		if i := bytes.IndexByte(ahead, '\n'); i >= 0 {
			if i == 0 || ahead[i-1] != '\r' {
				return "", errChunk
			}
			cn.r += i + 1
			return string(ahead[:i-1]), nil
		}
		if len(ahead) == readBuffer {
			return "", tooLong
		}
		if err := cn.fill(); err != nil {
			return "", err
		}
	}
}
