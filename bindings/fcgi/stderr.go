package fcgi

import "bytes"

// maxStderrLine is the longest line, in bytes, that is passed on in one piece.
const maxStderrLine = 8 << 10

// lineSplitter cuts an application's stderr into lines and hands them to emit, which may be
// nil. A longer line is handed over in pieces. It holds at most one piece.
type lineSplitter struct {
	emit func(line string)
	part []byte // the line so far
	cut  bool   // part is the rest of a line whose start was handed over
}

func (l *lineSplitter) write(p []byte) {
	if l.emit == nil {
		return
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
			return
		}
		l.line(piece, false)
		p = p[i+1:]
	}
}

// flush hands over a last line that has no newline.
func (l *lineSplitter) flush() {
	if len(l.part) > 0 {
		l.line(nil, false)
	}
	l.cut = false
}

// line hands over part and piece. cut says that the line goes on.
func (l *lineSplitter) line(piece []byte, cut bool) {
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
