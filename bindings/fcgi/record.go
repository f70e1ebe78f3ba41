package fcgi

import (
	"encoding/binary"
	"io"
)

// Record types (FastCGI 8).
const (
	typeBegin           = 1
	typeEnd             = 3
	typeParams          = 4
	typeStdin           = 5
	typeStdout          = 6
	typeStderr          = 7
	typeGetValuesResult = 10
	typeUnknownType     = 11
)

// Values of protocolStatus (FastCGI 5.5).
const (
	statusComplete      = 0
	statusCantMultiplex = 1
	statusOverloaded    = 2
	statusUnknownRole   = 3
)

const (
	version      = 1
	flagKeepConn = 1
	requestID    = 1 // one request at a time on a connection
	headerLen    = 8
	endLen       = 8     // content of END_REQUEST
	maxContent   = 65528 // the largest multiple of 8 that fits contentLength
)

var zeros [headerLen]byte

// openRecord makes room for a record header. The content is appended behind it, then
// closeRecord fills the header in.
func openRecord(dst []byte) []byte { return append(dst, zeros[:headerLen]...) }

// closeRecord completes the record that begins at start and holds at most maxContent bytes
// of content; it pads to a multiple of 8 bytes (FastCGI 3.3).
func closeRecord(dst []byte, start int, typ byte) []byte {
	n := len(dst) - start - headerLen
	pad := -n & 7
	h := dst[start : start+headerLen]
	h[0], h[1] = version, typ
	binary.BigEndian.PutUint16(h[2:], requestID)
	binary.BigEndian.PutUint16(h[4:], uint16(n))
	h[6], h[7] = byte(pad), 0
	return append(dst, zeros[:pad]...)
}

// appendEmpty appends an empty record, which ends a stream.
func appendEmpty(dst []byte, typ byte) []byte {
	start := len(dst)
	return closeRecord(openRecord(dst), start, typ)
}

// appendBegin appends BEGIN_REQUEST (FastCGI 5.1).
func appendBegin(dst []byte, role uint16, keep bool) []byte {
	start := len(dst)
	dst = openRecord(dst)
	dst = binary.BigEndian.AppendUint16(dst, role)
	flags := byte(0)
	if keep {
		flags = flagKeepConn
	}
	dst = append(dst, flags, 0, 0, 0, 0, 0)
	return closeRecord(dst, start, typeBegin)
}

// recordReader takes the records that an application sends apart. Next goes to the next
// record, content and consume walk through its content without copying.
type recordReader struct {
	src  io.Reader
	buf  []byte
	r, w int // buf[r:w] was read and not consumed

	typ  byte // of the current record
	left int  // content bytes of the current record not yet consumed
	pad  int  // padding bytes behind the content
}

// next skips what is left of the current record and reads the header of the next one. A
// management record appears as one without content: nothing was asked, and there is nothing
// to do about an answer (FastCGI 4). Content that is at hand stays in the buffer.
func (rr *recordReader) next() error {
	if err := rr.discard(rr.left + rr.pad); err != nil {
		return err
	}
	rr.left, rr.pad = 0, 0
	for rr.w-rr.r < headerLen {
		if err := rr.fill(); err != nil {
			return err
		}
	}
	h := rr.buf[rr.r : rr.r+headerLen]
	id := binary.BigEndian.Uint16(h[2:])
	if h[0] != version {
		return badf("record of FastCGI version %d, expected %d", h[0], version)
	}
	rr.typ = h[1]
	rr.left = int(binary.BigEndian.Uint16(h[4:]))
	rr.pad = int(h[6])
	rr.r += headerLen
	switch {
	case id == 0 && (rr.typ == typeGetValuesResult || rr.typ == typeUnknownType):
		rr.left, rr.pad = 0, rr.left+rr.pad
	case id != requestID:
		return badf("record with request id %d, expected %d", id, requestID)
	case rr.typ != typeStdout && rr.typ != typeStderr && rr.typ != typeEnd:
		return badf("unexpected record of type %d", rr.typ)
	case rr.typ == typeEnd && rr.left < endLen:
		return badf("END_REQUEST record of %d bytes, expected %d", rr.left, endLen)
	}
	return nil
}

// content returns the next piece of the current record's content, at least one byte. It is
// valid until the next call of another method. Only to be called while left > 0.
func (rr *recordReader) content() ([]byte, error) {
	if rr.r == rr.w {
		if err := rr.fill(); err != nil {
			return nil, err
		}
	}
	return rr.buf[rr.r : rr.r+min(rr.w-rr.r, rr.left)], nil
}

// consume steps over n bytes that content returned.
func (rr *recordReader) consume(n int) {
	rr.r += n
	rr.left -= n
}

// read copies content of the current record to p. A piece as large as the buffer does not
// pass through it. Only to be called while left > 0.
func (rr *recordReader) read(p []byte) (int, error) {
	if rr.r == rr.w && min(len(p), rr.left) >= len(rr.buf) {
		n, err := rr.src.Read(p[:min(len(p), rr.left)])
		rr.left -= n
		return n, err
	}
	c, err := rr.content()
	if err != nil {
		return 0, err
	}
	n := copy(p, c)
	rr.consume(n)
	return n, nil
}

// end reads the content of the current END_REQUEST record and its padding, and returns
// its protocolStatus.
func (rr *recordReader) end() (status byte, err error) {
	for rr.w-rr.r < endLen {
		if err := rr.fill(); err != nil {
			return 0, err
		}
	}
	status = rr.buf[rr.r+4]
	err = rr.discard(rr.left + rr.pad)
	rr.left, rr.pad = 0, 0
	return status, err
}

// ahead reports whether the whole of the next record is in the buffer, so that reading it
// does not wait, and its type and content length.
func (rr *recordReader) ahead() (typ byte, length int, ok bool) {
	at := rr.r + rr.left + rr.pad
	if rr.w-at < headerLen {
		return 0, 0, false
	}
	h := rr.buf[at : at+headerLen]
	length = int(binary.BigEndian.Uint16(h[4:]))
	return h[1], length, rr.w-at-headerLen >= length+int(h[6])
}

// bodyAhead reports whether the records up to END_REQUEST are wholly in the buffer, and how
// many bytes of stdout are left in them.
func (rr *recordReader) bodyAhead() (n int, ended bool) {
	if rr.typ == typeStdout {
		n = rr.left
	}
	for at := rr.r + rr.left + rr.pad; rr.w-at >= headerLen; {
		h := rr.buf[at : at+headerLen]
		length := int(binary.BigEndian.Uint16(h[4:]))
		at += headerLen + length + int(h[6])
		switch {
		case at > rr.w:
			return 0, false
		case h[1] == typeEnd:
			return n, true
		case h[1] == typeStdout:
			n += length
		}
	}
	return 0, false
}

// clean reports whether nothing is left: no content, no padding, no byte in the buffer.
func (rr *recordReader) clean() bool { return rr.r == rr.w && rr.left == 0 && rr.pad == 0 }

func (rr *recordReader) discard(n int) error {
	for n > 0 {
		if rr.r == rr.w {
			if err := rr.fill(); err != nil {
				return err
			}
		}
		k := min(n, rr.w-rr.r)
		rr.r += k
		n -= k
	}
	return nil
}

// fill reads more bytes behind buf[r:w]. The buffer never is full when it is called, as at
// most a header or an END_REQUEST is waited for in one piece.
func (rr *recordReader) fill() error {
	if rr.r == rr.w {
		rr.r, rr.w = 0, 0
	} else if len(rr.buf)-rr.r < headerLen {
		rr.w = copy(rr.buf, rr.buf[rr.r:rr.w])
		rr.r = 0
	}
	n, err := rr.src.Read(rr.buf[rr.w:])
	rr.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}
