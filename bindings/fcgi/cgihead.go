package fcgi

import (
	"bufio"
	"errors"
	"io"

	"luaserve/bindings/upstream"
)

// ReadHead reads the head of a CGI response (RFC 3875 section 6.2) where it comes without
// records around it, as from an SCGI application or a CGI program. What r gives behind it is
// the body; the Body of the Response is nil. A head of more than limit bytes is an error, and
// so is everything that [Client.Do] would refuse.
func ReadHead(r *bufio.Reader, limit int) (*Response, error) {
	var text []byte
	line := 0 // where the line that is being read begins
	for {
		piece, err := r.ReadSlice('\n')
		if len(text)+len(piece) > limit {
			return nil, badf("the response head is larger than %d bytes", limit)
		}
		text = append(text, piece...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		}
		end, next := upstream.HeadEnd(text, line)
		if end < 0 {
			line = next
			continue
		}
		h, err := parseHead(string(text[:end]), nil)
		if err != nil {
			return nil, err
		}
		return &Response{Status: h.status, Header: h.fields, Length: h.length, statusGiven: h.statusGiven}, nil
	}
}
