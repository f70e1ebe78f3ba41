package runtime

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"unsafe"
)

// ChunkQueue is a queue of pieces of a body: bytes, parts of files, streams. It is
// pulled: reading takes pieces from the front, and where a queue has a source (a filter
// before it), reading runs that source for more. It is not safe for concurrent use.
type ChunkQueue struct {
	chunks []chunk
	closed bool
	// refill brings more when the queue is empty and not closed; it must add something,
	// close the queue or fail.
	refill func() error
	sent   int64 // bytes that writeTo has written
	taken  bool  // something was taken out, in whatever way
}

type chunk struct {
	data   []byte
	file   *os.File    // read at off, n bytes; closed with the chunk
	shared *SharedFile // what file belongs to, when others send it as well
	off, n int64
	stream io.ReadCloser

	trailer func() []Field // what follows the stream; nil when nothing can
}

// ioPiece is how much is read from a stream at once, in bytes.
const ioPiece = 32 << 10

// Add appends bytes; the queue keeps b and does not change it.
func (q *ChunkQueue) Add(b []byte) {
	if len(b) > 0 {
		q.chunks = append(q.chunks, chunk{data: b})
	}
}

// AddString appends the bytes of s.
func (q *ChunkQueue) AddString(s string) {
	q.Add(unsafe.Slice(unsafe.StringData(s), len(s))) // nobody writes into what is in a queue
}

// AddFile appends n bytes of f from offset off; the queue closes f.
func (q *ChunkQueue) AddFile(f *os.File, off, n int64) {
	if n == 0 {
		f.Close()
		return
	}
	q.chunks = append(q.chunks, chunk{file: f, off: off, n: n})
}

// addShared appends n bytes from offset off of a file that others send as well.
func (q *ChunkQueue) addShared(f *SharedFile, off, n int64) {
	if n > 0 {
		f.use()
		q.chunks = append(q.chunks, chunk{file: f.file, shared: f, off: off, n: n})
	}
}

// AddStream appends everything that r will give; the queue closes r. An error of r other
// than io.EOF makes the body incomplete.
func (q *ChunkQueue) AddStream(r io.ReadCloser) {
	q.chunks = append(q.chunks, chunk{stream: r})
}

// IsClosed reports whether nothing will be added any more.
func (q *ChunkQueue) IsClosed() bool { return q.closed }

// SetClosed says whether nothing will be added any more.
func (q *ChunkQueue) SetClosed(closed bool) { q.closed = closed }

// Len returns the number of bytes in the queue, -1 when a stream makes it unknown.
func (q *ChunkQueue) Len() int64 {
	var n int64
	for i := range q.chunks {
		c := &q.chunks[i]
		if c.stream != nil {
			return -1
		}
		n += c.size()
	}
	return n
}

func (c *chunk) size() int64 {
	if c.file != nil {
		return c.n
	}
	return int64(len(c.data))
}

// Reset drops all chunks; streams and files are closed.
func (q *ChunkQueue) Reset() {
	for i := range q.chunks {
		q.chunks[i].close()
	}
	clear(q.chunks)
	q.chunks = q.chunks[:0]
	q.taken = true
}

func (c *chunk) close() {
	switch {
	case c.shared != nil:
		c.shared.letGo()
	case c.file != nil:
		c.file.Close()
	}
	if c.stream != nil {
		c.stream.Close()
	}
}

// StealAll moves the chunks of from that are there already, bytes and files, to the end
// of q. A stream is still to come: it stays, and so does what is behind it.
func (q *ChunkQueue) StealAll(from *ChunkQueue) {
	if q == from {
		return
	}
	n := 0
	for n < len(from.chunks) && from.chunks[n].stream == nil {
		n++
	}
	q.chunks = append(q.chunks, from.chunks[:n]...)
	from.taken = from.taken || n > 0
	left := copy(from.chunks, from.chunks[n:])
	clear(from.chunks[left:])
	from.chunks = from.chunks[:left]
}

// Measure returns the number of bytes in the queue once all of it is there. What has no
// known length is read into memory for that; more than limit bytes are ErrBodyTooLarge.
func (q *ChunkQueue) Measure(limit int64) (int64, error) {
	if q.refill == nil {
		if n, known, err := q.knownLen(limit); known || err != nil {
			return n, err
		}
	}
	var all ChunkQueue
	var err error
	held, taken := int64(0), q.taken
	for !all.closed && err == nil {
		before := len(all.chunks)
		err = all.moveSome(q)
		for _, c := range all.chunks[before:] {
			held += int64(len(c.data))
		}
		if held > limit && err == nil {
			err = ErrBodyTooLarge
		}
	}
	q.chunks = append(all.chunks, q.chunks...)
	q.taken = taken // all of it is back
	return q.Len(), err
}

// sized is a stream that can tell how many bytes are left in it; it may buffer up to
// limit bytes to find out.
type sized interface {
	remaining(limit int64) (int64, error)
}

func (q *ChunkQueue) knownLen(limit int64) (n int64, known bool, err error) {
	for i := range q.chunks {
		c := &q.chunks[i]
		size := c.size()
		if c.stream != nil {
			s, ok := c.stream.(sized)
			if !ok {
				return 0, false, nil
			}
			if size, err = s.remaining(limit); err != nil {
				return 0, false, err
			}
		}
		n += size
	}
	return n, true, nil
}

// moveSome moves the first piece of from into q: a whole chunk of bytes or of a file, or
// what a stream has now. It waits for a stream and runs from's source. At the end of from
// q is closed.
func (q *ChunkQueue) moveSome(from *ChunkQueue) error {
	if err := from.fill(); err != nil {
		return err
	}
	if len(from.chunks) == 0 {
		q.closed = true
		return nil
	}
	from.taken = true
	if c := &from.chunks[0]; c.stream == nil {
		q.chunks = append(q.chunks, *c)
		from.drop()
	} else if err := q.moveFromStream(from, c.stream); err != nil {
		return err
	}
	if from.closed && len(from.chunks) == 0 {
		q.closed = true
	}
	return nil
}

func (q *ChunkQueue) moveFromStream(from *ChunkQueue, stream io.ReadCloser) error {
	buf := make([]byte, ioPiece)
	n, err := stream.Read(buf)
	q.Add(buf[:n:n])
	if errors.Is(err, io.EOF) {
		stream.Close()
		from.drop()
		from.closed = from.closed || (from.refill == nil && len(from.chunks) == 0)
		return nil
	}
	return err
}

// drop removes the first chunk without closing it.
func (q *ChunkQueue) drop() {
	q.chunks[0] = chunk{}
	q.chunks = q.chunks[1:]
}

// fill runs the source until there is something to read or the end is reached.
func (q *ChunkQueue) fill() error {
	for len(q.chunks) == 0 && !q.closed && q.refill != nil {
		if err := q.refill(); err != nil {
			return err
		}
	}
	return nil
}

// Read reads from the front of the queue; io.EOF at its end.
func (q *ChunkQueue) Read(p []byte) (int, error) {
	for {
		if err := q.fill(); err != nil {
			return 0, err
		}
		if len(q.chunks) == 0 {
			return 0, io.EOF
		}
		stream := q.chunks[0].stream != nil
		q.taken = true
		n, done, err := q.chunks[0].read(p)
		if done {
			q.chunks[0].close()
			q.drop()
			q.closed = q.closed || (stream && q.refill == nil && len(q.chunks) == 0)
		}
		if err != nil {
			return n, err
		}
		if n > 0 || len(p) == 0 {
			return n, nil
		}
	}
}

// read reads from one chunk; done says that the chunk is used up.
func (c *chunk) read(p []byte) (n int, done bool, err error) {
	switch {
	case c.stream != nil:
		n, err = c.stream.Read(p)
		if errors.Is(err, io.EOF) {
			return n, true, nil
		}
		return n, false, err
	case c.file != nil:
		if int64(len(p)) > c.n {
			p = p[:c.n]
		}
		n, err = c.file.ReadAt(p, c.off)
		c.off += int64(n)
		c.n -= int64(n)
		if errors.Is(err, io.EOF) {
			if c.n > 0 {
				return n, false, fmt.Errorf("file %s became shorter while it was sent", c.file.Name())
			}
			err = nil
		}
		return n, c.n == 0, err
	}
	n = copy(p, c.data)
	c.data = c.data[n:]
	return n, len(c.data) == 0, nil
}

// bodyError is a fault of a body itself, as opposed to one of sending it.
type bodyError struct{ error }

func (e bodyError) Unwrap() error { return e.error }

// writeTo sends the queue to w piece by piece; flush is called after each piece of a
// stream or of a source, which may be long in coming. Where the body is at fault and not w,
// the error is a bodyError.
func (q *ChunkQueue) writeTo(w io.Writer, flush func()) error {
	for {
		if err := q.fill(); err != nil {
			return bodyError{err}
		}
		if len(q.chunks) == 0 {
			return nil
		}
		c := &q.chunks[0]
		var err error
		switch {
		case c.stream != nil:
			err = q.copyStream(w, c.stream, flush)
		case c.file != nil:
			err = q.writeFile(w, c)
		default:
			err = q.write(w, c.data)
			if err == nil && flush != nil && q.refill != nil {
				flush()
			}
		}
		if err != nil {
			return err
		}
		c.close()
		q.drop()
	}
}

// piecePool has buffers of ioPiece bytes.
var piecePool = sync.Pool{New: func() any { b := make([]byte, ioPiece); return &b }}

func (q *ChunkQueue) write(w io.Writer, data []byte) error {
	n, err := w.Write(data)
	q.sent += int64(n)
	return err
}

func (q *ChunkQueue) copyStream(w io.Writer, r io.Reader, flush func()) error {
	pooled := piecePool.Get().(*[]byte)
	defer piecePool.Put(pooled)
	buf := *pooled
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if werr := q.write(w, buf[:n]); werr != nil {
				return werr
			}
			// the end is often known together with the last bytes: no flush is needed then; what
			// comes together with an error is all that the client will get
			if flush != nil && err != io.EOF {
				flush()
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return bodyError{err}
		}
	}
}

// FileSender is a writer of a front end that has its own way to send n bytes of a file from
// offset off. It returns how many it has sent, fewer without an error when the file has become
// shorter.
type FileSender interface {
	SendFile(f SentFile, off, n int64) (int64, error)
}

// writeFile lets the kernel copy where w can (sendfile).
func (q *ChunkQueue) writeFile(w io.Writer, c *chunk) (err error) {
	var n int64
	if s, ok := w.(FileSender); ok {
		n, err = s.SendFile(SentFile{c.file, c.shared}, c.off, c.n)
	} else if c.shared != nil {
		n, err = io.Copy(w, io.NewSectionReader(c.file, c.off, c.n))
	} else {
		if _, err = c.file.Seek(c.off, io.SeekStart); err != nil {
			return err
		}
		n, err = io.Copy(w, &io.LimitedReader{R: c.file, N: c.n})
	}
	q.sent += n
	if err == nil && n < c.n {
		return bodyError{fmt.Errorf("file %s became shorter while it was sent", c.file.Name())}
	}
	return err
}

// Filter changes a body on its way: what comes in through In leaves through Out. A Lua
// filter is one; so is anything else that implements handle.
type Filter struct {
	In, Out *ChunkQueue

	// handle is called when In got something or was closed; it moves what it wants to Out.
	handle   func() error
	upstream *ChunkQueue
	busy     bool // handle runs
}

// NewFilter makes a filter of a Go function. handle is called each time in got something
// or was closed; it moves what it wants to out, and closes out when in is closed and
// everything has been moved. An error cuts the body.
func NewFilter(handle func(in, out *ChunkQueue) error) *Filter {
	f := &Filter{In: &ChunkQueue{}, Out: &ChunkQueue{}}
	f.handle = func() error { return handle(f.In, f.Out) }
	return f
}

// pull is the source of Out: it brings one piece through the filter.
func (f *Filter) pull() error {
	if f.busy {
		return errors.New("a filter cannot wait for the queue that it fills itself")
	}
	f.busy = true
	defer func() { f.busy = false }()
	if !f.In.closed {
		if err := f.In.moveSome(f.upstream); err != nil {
			return err
		}
	}
	ended := f.In.closed
	if err := f.handle(); err != nil {
		return err
	}
	// a filter that has seen the end and neither closed nor wrote would be asked for ever
	if ended && len(f.Out.chunks) == 0 {
		f.Out.closed = true
	}
	return nil
}

// connect puts the filter behind upstream and returns the queue behind the filter.
func (f *Filter) connect(upstream *ChunkQueue) *ChunkQueue {
	f.upstream = upstream
	f.Out.refill = f.pull
	return f.Out
}
