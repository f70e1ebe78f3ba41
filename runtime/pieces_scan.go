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
	sizes  *pieceSizes
	at     int
	line   int
	blocks int         // function, do, if and repeat that are open
	parens int         // ( that are open
	tables []openTable // that are open
	keys   []span      // of the fields of those
	pieces []foundPiece
	dots   int      // the last "..." was here
	names  []string // that may be variables, once each
}

type openTable struct {
	from, line     int
	pieces         int // that were found before
	blocks, parens int // that were open before
	fields         tableFields
}

// foundPiece is the place of a piece in the script.
type foundPiece struct {
	from, to, line int
	names          []string
	cuts           []fieldCut // of a table that is too long
}

// find finds the pieces, and reports whether the script is one that can be understood.
func (s *pieceScanner) find() bool {
	if bytes.Count(s.src, []byte("\r")) != bytes.Count(s.src, []byte("\r\n")) { // to gopher-lua these are lines, too
		return false
	}
	if !s.scan() {
		return false
	}
	for i := range s.pieces {
		p := &s.pieces[i]
		inner := &pieceScanner{src: s.src[p.from:p.to], sizes: s.sizes}
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
		case c == ' ', c == '\t', c == '\r':
		case c == '-' && s.next("-"):
			s.at++
			if !s.skipComment() {
				return false
			}
		default:
			s.beginField(from)
			if !s.token(from, c) {
				return false
			}
		}
	}
	return len(s.tables) == 0 && s.blocks == 0
}

// token goes on behind the token that begins at from.
func (s *pieceScanner) token(from int, c byte) bool {
	switch {
	case isLetter(c):
		for s.at < len(s.src) && (isLetter(s.src[s.at]) || isDigit(s.src[s.at])) {
			s.at++
		}
		s.word(from)
	case c == '"' || c == '\'':
		if !s.skipString(c) {
			return false
		}
	case c == '[':
		if level, ok := s.longBracket(); ok && !s.skipLong(level) {
			return false
		}
	case c == '.' && s.next(".."):
		s.dots = from
	case c == '(':
		s.parens++
	case c == ')':
		s.parens--
	case c == ',', c == ';':
		s.separate()
	case c == '{':
		s.tables = append(s.tables, openTable{from: from, line: s.line, pieces: len(s.pieces), blocks: s.blocks, parens: s.parens, fields: s.newFields()})
	case c == '}':
		return s.closeTable()
	}
	return true
}

func isLetter(c byte) bool { return c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (s *pieceScanner) next(text string) bool { return bytes.HasPrefix(s.src[s.at:], []byte(text)) }

// word counts the blocks, and remembers what may be a variable: no keyword, no name
// behind a single dot, and no key of a field.
func (s *pieceScanner) word(from int) {
	word := s.src[from:s.at]
	switch string(word) {
	case "function", "do", "if", "repeat":
		s.blocks++
	case "end", "until":
		s.blocks--
	}
	field := from > 0 && s.src[from-1] == '.' && (from == 1 || s.src[from-2] != '.')
	if field || s.isKey(from) || len(s.names) > maxNames || isKeyword(word) || slices.ContainsFunc(s.names, func(n string) bool { return n == string(word) }) {
		return
	}
	s.names = append(s.names, string(word))
}

// closeTable ends a table. One that is not too long, or can be cut, takes the place of those in it.
func (s *pieceScanner) closeTable() bool {
	if len(s.tables) == 0 {
		return false
	}
	s.endField()
	t := s.tables[len(s.tables)-1]
	s.tables = s.tables[:len(s.tables)-1]
	cuts, size := s.endFields(&t), s.at-t.from
	if s.blocks > 0 || size < s.sizes.least || s.dots >= t.from {
		return true
	}
	switch {
	case size <= s.sizes.most:
		cuts = nil
	case cuts == nil:
		return true
	}
	s.pieces = append(s.pieces[:t.pieces], foundPiece{from: t.from, to: s.at, line: t.line, cuts: cuts})
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

func isKeyword(word []byte) bool {
	switch string(word) {
	case "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil", "not", "or",
		"repeat", "return", "then", "true", "until", "while":
		return true
	}
	return false
}
