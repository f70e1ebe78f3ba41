package fcgi

import "bytes"

// maxStderrLine is the longest line, in bytes, that is passed on in one piece.
const maxStderrLine = 8 << 10

// LineSplitter is an io.Writer that cuts what an application writes to stderr into lines. A
// line of more than 8 KiB comes in pieces, of which it holds at most one. It is not safe for
// concurrent use.
type LineSplitter struct {
	emit func(line string) // may be nil
	part []byte            // the line so far
	cut  bool              // part is the rest of a line whose start was handed over
}

// NewLineSplitter returns a LineSplitter that hands the lines to emit, without their newline.
func NewLineSplitter(emit func(line string)) *LineSplitter { return &LineSplitter{emit: emit} }

// Write implements io.Writer. The error is always nil.
func (l *LineSplitter) Write(p []byte) (int, error) {
	n := len(p)
	if l.emit == nil {
		return n, nil
	}
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		piece := p
		if i >= 0 {
			piece = p[:i]
		}
		if room := maxStderrLine - len(l.part); len(piece) > room {
			l.line(piece[:room], true)
			p = p[room:]
			continue
		}
		if i < 0 {
			l.part = append(l.part, piece...)
			return n, nil
		}
		l.line(piece, false)
		p = p[i+1:]
	}
	return n, nil
}

// Flush hands over a last line that has no newline.
func (l *LineSplitter) Flush() {
	if len(l.part) > 0 {
		l.line(nil, false)
	}
	l.cut = false
}

// line hands over part and piece. cut says that the line goes on.
func (l *LineSplitter) line(piece []byte, cut bool) {
	if len(l.part) > 0 {
		l.part = append(l.part, piece...)
		piece = l.part
	}
	if !cut {
		piece = bytes.TrimSuffix(piece, []byte("\r"))
	}
	if len(piece) > 0 || !l.cut {
		l.emit(string(piece))
	}
	l.part, l.cut = l.part[:0], cut
}
