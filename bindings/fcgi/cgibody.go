package fcgi

import (
	"errors"
	"fmt"
	"io"
)

// ErrBodyClosed is what ends a [Body] that was closed before its end.
var ErrBodyClosed = errors.New("the response body was closed")

// TooLong is the error of a body of more than max bytes.
func TooLong(max int64) error { return fmt.Errorf("the body is longer than %d bytes", max) }

// Body is the body of a CGI response that has no records around it; see [ReadHead]. One
// goroutine at a time may use it.
type Body struct {
	src   io.Reader
	left  int64 // what is missing, -1 when that is not known
	given int64
	max   int64
	end   func(err error) error
	err   error // what Read returns from now on
}

// NewBody returns a body of length bytes of src, or with -1 of all that src gives; what is
// behind that is not read. With a max above 0, more than max bytes are an error.
//
// end is called once, when src is not read any more: with io.EOF at the end of the body, with
// [ErrBodyClosed], or with the fault of src: io.ErrUnexpectedEOF where it ended too early. Read
// returns what end returns.
func NewBody(src io.Reader, length, max int64, end func(err error) error) *Body {
	return &Body{src: src, left: length, max: max, end: end}
}

// Read implements io.Reader.
func (b *Body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.left >= 0 && int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := 0, error(nil)
	if b.left != 0 {
		n, err = b.src.Read(p)
	}
	if b.left > 0 {
		b.left -= int64(n)
	}
	b.given += int64(n)
	switch {
	case b.max > 0 && b.given > b.max:
		n, err = n-int(b.given-b.max), TooLong(b.max)
	case b.left == 0:
		err = io.EOF
	case err == nil:
		return n, nil
	case err == io.EOF && b.left > 0:
		err = io.ErrUnexpectedEOF
	}
	b.err = b.end(err)
	return n, b.err
}

// Close implements io.Closer.
func (b *Body) Close() error {
	if b.err == nil {
		b.err = b.end(ErrBodyClosed)
	}
	return nil
}
