package runtime

import (
	"bytes"
	"fmt"
	"slices"
)

// pieceScanner finds the tables of a script that can be cut out. It only tells words,
// strings, comments and brackets apart; where it is in doubt, it finds nothing.
type pieceScanner struct {
	src    []byte
	min    int // bytes of a piece
	at     int
	line   int
	blocks int         // function, do, if and repeat that are open
	tables []openTable // that are open
	pieces []foundPiece
	dots   int      // the last "..." was here
	names  []string // that may be variables, once each
}

type openTable struct {
	from, line int
	pieces     int // that were found before
}

// foundPiece is the place of a piece in the script.
type foundPiece struct {
	from, to, line int
	names          []string
}

// find finds the pieces, and reports whether the script is one that can be understood.
func (s *pieceScanner) find() bool {
	if !s.scan() {
		return false
	}
	for i := range s.pieces {
		p := &s.pieces[i]
		inner := &pieceScanner{src: s.src[p.from:p.to]}
		inner.scan()
		p.names = inner.names
	}
	s.pieces = slices.DeleteFunc(s.pieces, func(p foundPiece) bool { return len(p.names) > maxNames })
	return true
}

// scan goes through the script once.
func (s *pieceScanner) scan() bool {
	s.dots = -1
	for s.at < len(s.src) {
		from := s.at
		c := s.src[s.at]
		s.at++
		switch {
		case c == '\n':
			s.line++
		case isLetter(c):
			for s.at < len(s.src) && (isLetter(s.src[s.at]) || isDigit(s.src[s.at])) {
				s.at++
			}
			s.word(from)
		case c == '"' || c == '\'':
			if !s.skipString(c) {
				return false
			}
		case c == '-' && s.next("-"):
			s.at++
			if !s.skipComment() {
				return false
			}
		case c == '[':
			if level, ok := s.longBracket(); ok && !s.skipLong(level) {
				return false
			}
		case c == '.' && s.next(".."):
			s.dots = from
		case c == '{':
			s.tables = append(s.tables, openTable{from, s.line, len(s.pieces)})
		case c == '}':
			if !s.closeTable() {
				return false
			}
		}
	}
	return len(s.tables) == 0 && s.blocks == 0
}

func isLetter(c byte) bool { return c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (s *pieceScanner) next(text string) bool { return bytes.HasPrefix(s.src[s.at:], []byte(text)) }

// word counts the blocks, and remembers what may be a variable: no keyword, and no name
// behind a single dot.
func (s *pieceScanner) word(from int) {
	word := s.src[from:s.at]
	switch string(word) {
	case "function", "do", "if", "repeat":
		s.blocks++
	case "end", "until":
		s.blocks--
	}
	field := from > 0 && s.src[from-1] == '.' && (from == 1 || s.src[from-2] != '.')
	if field || len(s.names) > maxNames || slices.Contains(keywords, string(word)) || slices.ContainsFunc(s.names, func(n string) bool { return n == string(word) }) {
		return
	}
	s.names = append(s.names, string(word))
}

// closeTable ends a table. One that is not too long takes the place of those in it.
func (s *pieceScanner) closeTable() bool {
	if len(s.tables) == 0 {
		return false
	}
	t := s.tables[len(s.tables)-1]
	s.tables = s.tables[:len(s.tables)-1]
	size := s.at - t.from
	if s.blocks == 0 && s.min <= size && size <= maxPiece && s.dots < t.from {
		s.pieces = append(s.pieces[:t.pieces], foundPiece{from: t.from, to: s.at, line: t.line})
	}
	return true
}

// skipString skips what is behind the quote that begins a string.
func (s *pieceScanner) skipString(quote byte) bool {
	for s.at < len(s.src) {
		c := s.src[s.at]
		s.at++
		switch c {
		case quote:
			return true
		case '\\':
			if s.at < len(s.src) && s.src[s.at] == '\n' {
				s.line++
			}
			s.at++
		case '\n', '\r':
			return false
		}
	}
	return false
}

func (s *pieceScanner) skipComment() bool {
	if s.next("[") {
		s.at++
		if level, ok := s.longBracket(); ok {
			return s.skipLong(level)
		}
	}
	if i := bytes.IndexByte(s.src[s.at:], '\n'); i >= 0 {
		s.at += i
	} else {
		s.at = len(s.src)
	}
	return true
}

// longBracket reports whether the "[" before begins a long string, as [[ or [==[, and how
// many "=" it has.
func (s *pieceScanner) longBracket() (level int, ok bool) {
	for s.at+level < len(s.src) && s.src[s.at+level] == '=' {
		level++
	}
	return level, s.at+level < len(s.src) && s.src[s.at+level] == '['
}

func (s *pieceScanner) skipLong(level int) bool {
	end := "]" + string(bytes.Repeat([]byte("="), level)) + "]"
	i := bytes.Index(s.src[s.at:], []byte(end))
	if i < 0 {
		return false
	}
	s.line += bytes.Count(s.src[s.at:s.at+i], []byte("\n"))
	s.at += i + len(end)
	return true
}

// rest returns the script with a function in the place of each piece, on as many lines.
func (s *pieceScanner) rest() []byte {
	var out bytes.Buffer
	at := 0
	for i, p := range s.pieces {
		text := s.src[p.from:p.to]
		out.Write(s.src[at:p.from])
		fmt.Fprintf(&out, `((function() return "\0%s%d"`, pieceMark[1:], i)
		for _, name := range p.names {
			out.WriteString("," + name)
		}
		out.WriteString(" end)())")
		out.Write(bytes.Repeat([]byte("\n"), bytes.Count(text, []byte("\n"))))
		at = p.to
	}
	out.Write(s.src[at:])
	return out.Bytes()
}

var keywords = []string{
	"and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil", "not", "or",
	"repeat", "return", "then", "true", "until", "while",
}
