package runtime

import (
	"bytes"

	lua "github.com/yuin/gopher-lua"
)

// A table that is too long to be compiled at once, the map of ten thousand hosts, is cut
// between its fields. Each part becomes a table of its own, and they are put together. That
// is the same table if all its fields have different names, or none has any.

// fieldCut is some fields of a table.
type fieldCut struct {
	from, to, line int
	listed         int // how many have no key
}

type span struct{ from, to int }

// tableFields is what is known of the fields of a table that is open.
type tableFields struct {
	first  int // where the field begins, 0 until it is known
	cut    fieldCut
	cuts   []fieldCut
	keys   int // those before, in the scanner, are of the tables around it
	listed bool
	odd    bool // has keys that are not plain names
}

// newFields is for a table whose "{" was read.
func (s *pieceScanner) newFields() tableFields {
	return tableFields{cut: fieldCut{from: s.at, line: s.line}, keys: len(s.keys)}
}

// innermost returns the table whose field is being read, nil within the functions and
// parentheses of one.
func (s *pieceScanner) innermost() *openTable {
	if len(s.tables) == 0 {
		return nil
	}
	t := &s.tables[len(s.tables)-1]
	if t.blocks != s.blocks || t.parens != s.parens {
		return nil
	}
	return t
}

// beginField notes where a field begins.
func (s *pieceScanner) beginField(at int) {
	if t := s.innermost(); t != nil && t.fields.first == 0 && bytes.IndexByte([]byte("},;"), s.src[at]) < 0 {
		t.fields.first = at
	}
}

// isKey reports whether the word from from to at is the key of a field.
func (s *pieceScanner) isKey(from int) bool {
	t := s.innermost()
	return t != nil && t.fields.first == from && s.assigns(s.at)
}

// assigns reports whether a single "=" follows.
func (s *pieceScanner) assigns(at int) bool {
	rest := bytes.TrimLeft(s.src[at:min(at+80, len(s.src))], " \t\r\n")
	return len(rest) > 1 && rest[0] == '=' && rest[1] != '='
}

// endField ends a field.
func (s *pieceScanner) endField() {
	t := s.innermost()
	if t == nil || t.fields.first == 0 {
		return
	}
	f := &t.fields
	switch key, kind := s.fieldKey(f.first); kind {
	case keyless:
		f.listed = true
		f.cut.listed++
	case keyPlain:
		s.keys = append(s.keys, key)
	case keyOther:
		f.odd = true
	}
	f.first = 0
}

// separate ends a field, and behind its comma the part of the table when it is long enough.
func (s *pieceScanner) separate() {
	t := s.innermost()
	if t == nil {
		return
	}
	if t.fields.first == 0 { // gopher-lua takes { 1,, 2 }, but not {, 2 }
		t.fields.odd = true
	}
	s.endField()
	if s.at-t.fields.cut.from >= s.sizes.cut {
		t.fields.endCut(s.at)
		t.fields.cut = fieldCut{from: s.at, line: s.line}
	}
}

func (f *tableFields) endCut(to int) {
	f.cut.to = to
	f.cuts = append(f.cuts, f.cut)
}

type keyKind uint8

const (
	keyless keyKind = iota
	keyPlain
	keyOther
)

// fieldKey reads the key of the field that begins at at: name = … or ["name"] = …
func (s *pieceScanner) fieldKey(at int) (span, keyKind) {
	end := at
	for end < len(s.src) && (isLetter(s.src[end]) || isDigit(s.src[end])) {
		end++
	}
	if end > at {
		if s.assigns(end) {
			return span{at, end}, keyPlain
		}
		return span{}, keyless
	}
	text := s.src[at:]
	switch {
	case text[0] != '[' || len(text) < 2 || text[1] == '[' || text[1] == '=':
		return span{}, keyless
	case text[1] == '"' || text[1] == '\'':
		n := bytes.IndexByte(text[2:], text[1])
		if n >= 0 && bytes.IndexByte(text[2:2+n], '\\') < 0 && bytes.HasPrefix(text[2+n+1:], []byte("]")) && s.assigns(at+2+n+2) {
			return span{at + 2, at + 2 + n}, keyPlain
		}
	}
	return span{}, keyOther
}

// endFields ends the table t, whose "}" was read, and returns the parts that it may be cut
// into; none when it must not.
func (s *pieceScanner) endFields(t *openTable) []fieldCut {
	f := &t.fields
	keys := s.keys[f.keys:]
	s.keys = s.keys[:f.keys]
	if f.cuts == nil || f.odd || f.listed && len(keys) > 0 || s.sameKeys(keys) {
		return nil
	}
	if f.listed && f.cut.listed == 0 { // nothing behind the last comma: what stands before is the end
		f.cuts[len(f.cuts)-1].to = s.at - 1
		return f.cuts
	}
	f.endCut(s.at - 1)
	return f.cuts
}

// sameKeys reports whether a key is there twice. What its second value is may be nil.
func (s *pieceScanner) sameKeys(keys []span) bool {
	seen := make(map[string]bool, len(keys))
	for _, k := range keys {
		seen[string(s.src[k.from:k.to])] = true
	}
	return len(seen) < len(keys)
}

// runParts makes the table of its parts, and leaves it on the stack.
func (p *scriptPiece) runParts(L *lua.LState, place *lua.LFunction) {
	table := L.NewTable()
	L.Push(table)
	n := 0
	for i, part := range p.parts {
		part.call(L, place)
		fields := L.Get(-1).(*lua.LTable)
		L.Pop(1)
		if part.listed == 0 {
			eachInOrder(fields, table.RawSet)
			continue
		}
		count := part.listed
		if i == len(p.parts)-1 { // a call at the end counts with all its results
			count = max(count, fields.Len())
		}
		for j := range count {
			table.RawSetInt(n+j+1, fields.RawGetInt(j+1))
		}
		n += count
	}
}
