package luastring

import (
	"strings"
)

// head is what the beginning of a pattern tells about where it can match.
type head struct {
	read  bool
	text  string // any match begins with this text,
	first int    // or with a character that matches the item at this place,
	known bool   // if there is one
	once  bool   // no match from one place on means none from any place behind it
}

// search returns the first match of the whole pattern that begins at from or behind it.
func (m *matcher) search(from int) (start, end int) {
	if !m.head.read {
		m.readHead()
	}
	m.depth = 0
	for s := from; s <= len(m.src); s++ {
		if s = m.candidate(s); s == none {
			break
		}
		m.level = 0
		if end := m.match(s, 0); end != none {
			return s, end
		}
		if m.head.once {
			break
		}
	}
	return none, none
}

// candidate returns the first place from s on where a match may begin.
func (m *matcher) candidate(s int) int {
	rest := m.src[s:]
	var skipped int
	switch {
	case m.head.text != "":
		skipped = strings.Index(rest, m.head.text)
	case m.head.known:
		skipped = firstOf(rest, m.item(m.head.first))
	}
	if skipped < 0 {
		m.spend(len(rest))
		return none
	}
	m.spend(skipped)
	return s + skipped
}

// firstOf returns where the first character that matches it stands.
func firstOf(s string, it item) int {
	if it.kind == oneByte {
		return strings.IndexByte(s, it.literal)
	}
	for i := range len(s) {
		if it.matches(s[i]) {
			return i
		}
	}
	return none
}

// readHead looks at the beginning of the pattern. It reads no more than the first attempt
// to match does in any case: what is wrong there may be raised here.
func (m *matcher) readHead() {
	m.head.read = true
	end := 0
	for end < len(m.pat) && m.pat[end] != '%' {
		if _, plain := m.plainByte(end); !plain {
			break
		}
		end++
		if end < len(m.pat) && m.pat[end] == '+' {
			break
		}
	}
	if end > 1 {
		m.head.text = m.pat[:end]
		return
	}
	p := 0
	for p < 4 && p+1 < len(m.pat) && m.pat[p] == '(' && m.pat[p+1] != ')' {
		p++
	}
	if !m.beginsItem(p) {
		return
	}
	first := m.item(p)
	quantifier := byte(0)
	if first.next < len(m.pat) {
		quantifier = m.pat[first.next]
	}
	m.head.once = first.kind == anyByte && p == 0 && strings.IndexByte("*+-", quantifier) >= 0
	if strings.IndexByte("*?-", quantifier) < 0 {
		m.head.first, m.head.known = p, true
	}
}

// beginsItem reports whether a single character item begins at p.
func (m *matcher) beginsItem(p int) bool {
	if p == len(m.pat) {
		return false
	}
	switch m.pat[p] {
	case '(', ')':
		return false
	case '$':
		return p+1 < len(m.pat)
	case '%':
		return p+1 == len(m.pat) || strings.IndexByte("bf0123456789", m.pat[p+1]) < 0
	}
	return true
}
