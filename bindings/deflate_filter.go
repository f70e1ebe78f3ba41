package bindings

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"luaserve/runtime"
)

// bodyEncoder is what the libraries have in common.
type bodyEncoder interface {
	io.WriteCloser
	Flush() error
	Reset(w io.Writer)
}

// compressWindow is how far compressors that could look back for megabytes do so, as a
// power of two of bytes: it bounds what each request holds in memory.
const compressWindow = 18

// codings are the content codings on offer, the preferred ones first.
var codings = []struct {
	name string
	open func(level int) (bodyEncoder, error)
}{
	{"zstd", func(level int) (bodyEncoder, error) {
		return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)), zstd.WithEncoderConcurrency(1),
			zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<compressWindow))
	}},
	{"br", func(level int) (bodyEncoder, error) {
		return brotli.NewWriterOptions(nil, brotli.WriterOptions{Quality: level, LGWin: compressWindow}), nil
	}},
	{"gzip", func(level int) (bodyEncoder, error) { return gzip.NewWriterLevel(nil, level) }},
	{"deflate", func(level int) (bodyEncoder, error) { return zlib.NewWriterLevel(nil, level) }},
}

// coding is one content coding at one level; its encoders are reused.
type coding struct {
	name string
	open func() (bodyEncoder, error)
	pool sync.Pool // of *encodeBuffer
}

// encodeBuffer is an encoder with the memory around it.
type encodeBuffer struct {
	enc   bodyEncoder
	out   bytes.Buffer // what enc wrote
	piece [32 << 10]byte
}

func newCoding(name string, open func(level int) (bodyEncoder, error), level int) *coding {
	return &coding{name: name, open: func() (bodyEncoder, error) { return open(level) }}
}

func (c *coding) get() (*encodeBuffer, error) {
	b, ok := c.pool.Get().(*encodeBuffer)
	if !ok {
		enc, err := c.open()
		if err != nil {
			return nil, err
		}
		b = &encodeBuffer{enc: enc}
	}
	b.out.Reset()
	b.enc.Reset(&b.out)
	return b, nil
}

func (c *coding) put(b *encodeBuffer) {
	b.enc.Reset(io.Discard)
	if b.out.Cap() <= 4*wholeAtOnce {
		c.pool.Put(b)
	}
}

// wholeAtOnce is how much is compressed in one go, in bytes: short answers get a
// Content-Length so. Longer ones are compressed while they are sent.
const wholeAtOnce = 64 << 10

// compressor compresses the body of one answer.
type compressor struct {
	coding   *coding
	source   *runtime.ChunkQueue // where the body comes from
	buf      *encodeBuffer       // nil until there is something to compress, and after the end
	released bool
	pending  *compressedStream // in the out queue, not read to its end
}

// handle is the filter. It waits for what is there already, but not for what is still to
// come: a slow stream is passed on piece by piece.
func (p *compressor) handle(in, out *runtime.ChunkQueue) error {
	if p.pending == nil || p.pending.drained {
		if n := in.Len(); !in.IsClosed() && (n == 0 || n <= wholeAtOnce && p.source.Len() > 0) {
			return nil
		}
		p.pending = &compressedStream{p: p, in: in}
		if in.Len() > wholeAtOnce {
			out.AddStream(p.pending)
		} else {
			data, err := io.ReadAll(p.pending)
			if err != nil {
				return err
			}
			out.Add(data)
		}
	}
	out.SetClosed(in.IsClosed())
	return nil
}

// release gives the encoder back when the request is over.
func (p *compressor) release() {
	p.released = true
	if p.buf != nil {
		p.coding.put(p.buf)
		p.buf = nil
	}
}

// compressedStream is what is in a queue now, compressed while it is read.
type compressedStream struct {
	p       *compressor
	in      *runtime.ChunkQueue
	drained bool // the queue is empty and the encoder has been flushed
}

var errReleased = errors.New("the request is over")

// Read implements io.Reader.
func (s *compressedStream) Read(to []byte) (int, error) {
	if s.p.released {
		return 0, errReleased
	}
	if s.p.buf == nil {
		var err error
		if s.p.buf, err = s.p.coding.get(); err != nil {
			return 0, err
		}
	}
	for s.p.buf.out.Len() == 0 {
		if s.drained {
			return 0, io.EOF
		}
		if err := s.compressPiece(s.p.buf); err != nil {
			return 0, err
		}
	}
	return s.p.buf.out.Read(to)
}

// compressPiece moves one piece of the queue through the encoder.
func (s *compressedStream) compressPiece(b *encodeBuffer) error {
	// whole pieces: brotli compresses what it gets at once by itself
	n, err := io.ReadFull(s.in, b.piece[:])
	if n > 0 {
		if _, werr := b.enc.Write(b.piece[:n]); werr != nil {
			return werr
		}
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	s.drained = true
	if s.in.IsClosed() {
		return b.enc.Close()
	}
	return b.enc.Flush()
}

// Close implements io.Closer; the queue belongs to the filter.
func (s *compressedStream) Close() error { return nil }
