package bindings

import (
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"

	"luaserve/runtime"
)

// byteRange is a part of a file.
type byteRange struct {
	start, length int64
}

// contentRange is the value of Content-Range for a file of size bytes.
func (r byteRange) contentRange(size int64) string {
	var buf [80]byte
	b := strconv.AppendInt(append(buf[:0], "bytes "...), r.start, 10)
	b = strconv.AppendInt(append(b, '-'), r.start+r.length-1, 10)
	return string(strconv.AppendInt(append(b, '/'), size, 10))
}

// maxRanges bounds what one request may ask for: more are answered with the whole file
// (RFC 9110, 14.2, allows it), so that a small request does not cost a big answer.
const maxRanges = 64

// parseRange reads the value of a Range field for a file of size bytes. ok is false for
// a value that must be ignored: another unit, something unreadable, more than a client
// can need. ok without any range means that no part of the file was asked for: 416.
//
// Where RFC 9110 leaves a choice it does what lighttpd2 does: blanks are allowed around
// every part, and a range that ends before it starts is one that cannot be satisfied.
func parseRange(value string, size int64) (ranges []byteRange, ok bool) {
	unit, list, found := strings.Cut(value, "=")
	if !found || !strings.EqualFold(strings.TrimSpace(unit), "bytes") {
		return nil, false
	}
	var sum int64
	for spec := range strings.SplitSeq(list, ",") {
		spec = strings.Trim(spec, " \t")
		if spec == "" {
			continue // an empty list element (RFC 9110, 5.6.1)
		}
		r, satisfiable, valid := parseRangeSpec(spec, size)
		if !valid {
			return nil, false
		}
		if !satisfiable {
			continue
		}
		sum += r.length
		if ranges = append(ranges, r); len(ranges) > maxRanges || len(ranges) > 1 && sum > size {
			return nil, false
		}
	}
	return ranges, true
}

// parseRangeSpec reads one range: "0-99", "100-" or "-10".
func parseRangeSpec(spec string, size int64) (r byteRange, satisfiable, valid bool) {
	from, to, found := strings.Cut(spec, "-")
	if !found {
		return r, false, false
	}
	from, to = strings.Trim(from, " \t"), strings.Trim(to, " \t")
	first, ok1 := parseOffset(from)
	last, ok2 := parseOffset(to)
	if !ok1 || !ok2 {
		return r, false, false
	}
	switch {
	case from == "" && to == "":
		return r, false, true
	case from == "":
		r.length = min(last, size)
		r.start = size - r.length
	case to == "":
		r = byteRange{first, size - first}
	default:
		r = byteRange{first, min(last, size-1) - first + 1}
	}
	return r, r.length > 0, true
}

// parseOffset reads a number; one that is too large for any file is the largest there is.
// Nothing at all is 0.
func parseOffset(s string) (n int64, ok bool) {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		digit := int64(s[i] - '0')
		if n > (math.MaxInt64-digit)/10 {
			n = math.MaxInt64
			continue
		}
		n = n*10 + digit
	}
	return n, true
}

// lastField returns the last field called name: of several Range fields it counts.
func lastField(h *runtime.Header, name string) (value string, ok bool) {
	for i := h.Len() - 1; i >= 0; i-- {
		if f := h.At(i); len(f.Name) == len(name) && strings.EqualFold(f.Name, name) {
			return f.Value, true
		}
	}
	return "", false
}

// partBoundary separates the parts of a multipart answer. It is lighttpd2's, so that the
// same request has the same answer here and there. A file that contains it can mislead a
// client that does not go by the lengths in Content-Range.
const partBoundary = "fkj49sn38dcn3"

// multipartType is the Content-Type of an answer with several parts.
const multipartType = "multipart/byteranges; boundary=" + partBoundary

// multipartBody sends several parts of one file (RFC 9110, 14.6).
type multipartBody struct {
	io.Reader
	file   *os.File
	length int64
}

// newMultipart makes the body with all ranges of a file of that size and type. Closing it
// closes the file.
func newMultipart(f *os.File, ranges []byteRange, size int64, typ string) *multipartBody {
	m := &multipartBody{file: f}
	readers := make([]io.Reader, 0, 2*len(ranges)+1)
	text := func(s string) {
		m.length += int64(len(s))
		readers = append(readers, strings.NewReader(s))
	}
	for _, r := range ranges {
		text("\r\n--" + partBoundary + "\r\nContent-Type: " + typ + "\r\nContent-Range: " + r.contentRange(size) + "\r\n\r\n")
		m.length += r.length
		readers = append(readers, &filePart{io.NewSectionReader(f, r.start, r.length), r.length})
	}
	text("\r\n--" + partBoundary + "--\r\n")
	m.Reader = io.MultiReader(readers...)
	return m
}

// Close closes the file.
func (m *multipartBody) Close() error { return m.file.Close() }

// filePart reads a part of a file and notices when the file has become too short for it.
type filePart struct {
	r    *io.SectionReader
	left int64
}

func (p *filePart) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.left -= int64(n)
	if err == io.EOF && p.left > 0 {
		err = fmt.Errorf("the file became shorter while it was sent: %w", io.ErrUnexpectedEOF)
	}
	return n, err
}
