package runtime

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
)

// requestBody is the body as the front end gives it. A body of unknown length is
// buffered when somebody needs the length: in memory first, then in a file.
type requestBody struct {
	source io.Reader
	length int64        // -1 unknown
	came   atomic.Int64 // bytes from the front end
	taken  int64        // bytes that were read from it
	limit  int64        // how much of that is kept for a repetition
	kept   []byte       // all that was read, as long as it is no more
	spool  *os.File
}

// setBody makes the queue of the request body. A body and its queue are not reused with
// the request: a backend may still be in a Read of them when the request is over.
func (vr *VRequest) setBody(ex Exchange) {
	if source, length := ex.Body(), ex.ContentLength(); source != nil && length != 0 {
		vr.body = &requestBody{length: length}
		vr.body.source = &countedReader{source, &vr.body.came}
		vr.rawIn = &ChunkQueue{}
		vr.rawIn.AddStream(vr.body)
	} else {
		vr.noBody = ChunkQueue{closed: true}
		vr.rawIn = &vr.noBody
	}
	vr.In = vr.rawIn
}

// countedReader counts what is read.
type countedReader struct {
	io.Reader
	n *atomic.Int64
}

func (c *countedReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// BodyReceived returns a function that tells how many bytes of the request body have come.
// Others may call it while the request runs and when it is over.
func (vr *VRequest) BodyReceived() func() int64 {
	if vr.body == nil {
		return func() int64 { return 0 }
	}
	return vr.body.came.Load
}

// bodyInMemory is how much of a body of unknown length is kept in memory, in bytes.
const bodyInMemory = 256 << 10

// ErrBodyTooLarge is returned when a body of unknown length is longer than the program allows,
// and by the Body of an [Exchange] that is longer than [Limits] has it.
var ErrBodyTooLarge = errors.New("the request body is too large")

// ContentLength returns the length of the request body in bytes. A chunked body is read
// and buffered first, up to [Config.MaxBufferedBody].
func (vr *VRequest) ContentLength() (int64, error) {
	if vr.body == nil {
		return 0, nil
	}
	return vr.body.total(vr.prog.maxBody)
}

// total returns the length of the whole body; one of unknown length is buffered.
func (b *requestBody) total(limit int64) (int64, error) {
	if b.length >= 0 {
		return b.length, nil
	}
	n, err := b.buffer(limit)
	if err == nil {
		b.length = b.taken + n
		return b.length, nil
	}
	return 0, unreadableBody(err)
}

// unreadableBody is the answer to a request whose body cannot be read.
func unreadableBody(err error) error {
	status := 400
	switch {
	case errors.Is(err, ErrBodyTooLarge):
		status = 413
	case errors.Is(err, os.ErrDeadlineExceeded):
		status = 408
	}
	return &StatusError{Status: status, Err: fmt.Errorf("reading the request body: %w", err)}
}

// remaining implements sized.
func (b *requestBody) remaining(limit int64) (int64, error) {
	n, err := b.total(limit)
	return n - b.taken, err
}

func (b *requestBody) buffer(limit int64) (int64, error) {
	var head strings.Builder
	n, err := io.Copy(&head, io.LimitReader(b.source, bodyInMemory))
	if err != nil {
		return 0, err
	}
	if n < bodyInMemory {
		b.source = strings.NewReader(head.String())
		return n, nil
	}
	f, err := os.CreateTemp("", "luaserve-body-")
	if err != nil {
		return 0, err
	}
	os.Remove(f.Name())
	b.spool = f
	rest, err := io.Copy(f, io.LimitReader(b.source, limit-n+1))
	if err != nil {
		return 0, err
	}
	if n+rest > limit {
		return 0, ErrBodyTooLarge
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	b.source = io.MultiReader(strings.NewReader(head.String()), f)
	return n + rest, nil
}

// Read implements io.Reader for the chunk queue.
func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.source.Read(p)
	b.taken += int64(n)
	b.keep(p[:n])
	if err != nil && !errors.Is(err, io.EOF) {
		err = unreadableBody(err)
	}
	return n, err
}

// Close is what the chunk queue calls at the end of the body; the file lives until the request ends.
func (b *requestBody) Close() error { return nil }

func (b *requestBody) close() {
	if b.spool != nil {
		b.spool.Close()
	}
}
