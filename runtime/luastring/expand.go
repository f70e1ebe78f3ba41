package luastring

import (
	"strings"
)

// span returns how many characters from s on match an item.
func (m *matcher) span(s int, it *item) int {
	rest := m.src[s:]
	n := 0
	switch it.kind {
	case anyByte:
		return len(rest)
	case otherBut:
		if n = strings.IndexByte(rest, it.literal); n < 0 {
			n = len(rest)
		}
	case oneByte:
		for n < len(rest) && rest[n] == it.literal {
			n++
		}
	case oneOf:
		for bits := it.set; n < len(rest) && bits.has(rest[n]); {
			n++
		}
	}
	m.spend(n)
	return n
}

// longest matches an item followed by * or +: as many characters as it can, and fewer, down
// to least, for as long as the rest does not match.
func (m *matcher) longest(s, least int, it *item) int {
	n := m.span(s, it)
	rest := it.next + 1
	if rest == len(m.pat) {
		if n < least {
			return none
		}
		return s + n
	}
	must, known := m.mustFollow(rest)
	for ; n >= least; n-- {
		if known {
			behind := min(s+n+1, len(m.src))
			i := strings.LastIndexByte(m.src[s:behind], must)
			m.spend(behind - s - i)
			if i < least {
				return none
			}
			n = i
		}
		if end := m.match(s+n, rest); end != none {
			return end
		}
	}
	return none
}

// shortest matches an item followed by -: as few characters as it can, and more for as long
// as the rest does not match.
func (m *matcher) shortest(s int, it *item) int {
	rest := it.next + 1
	must, known := m.mustFollow(rest)
	for {
		if known && it.kind == anyByte {
			i := strings.IndexByte(m.src[s:], must)
			if i < 0 {
				return none
			}
			m.spend(i)
			s += i
		}
		if !known || s < len(m.src) && m.src[s] == must {
			if end := m.match(s, rest); end != none {
				return end
			}
		}
		if s == len(m.src) || !it.matches(m.src[s]) {
			return none
		}
		s++
		m.spend(1)
	}
}

// mustFollow returns the character that any match of pat[p:] begins with, if the pattern
// tells. The end of a capture in between takes no character.
func (m *matcher) mustFollow(p int) (c byte, known bool) {
	for i := m.level - 1; p < len(m.pat) && m.pat[p] == ')'; p++ {
		for i >= 0 && m.captures[i].length != openCapture {
			i--
		}
		if i < 0 {
			return 0, false // an error, which matching raises
		}
		i--
	}
	if p == len(m.pat) {
		return 0, false
	}
	return m.plainByte(p)
}

// plainByte returns the character that the pattern has at p, if it stands for itself and
// must be there at least once.
func (m *matcher) plainByte(p int) (c byte, ok bool) {
	c = m.pat[p]
	next := p + 1
	switch c {
	case '.', '[', '(', ')':
		return 0, false
	case '$':
		if next == len(m.pat) {
			return 0, false
		}
	case '%':
		if next == len(m.pat) || classes['w'].has(m.pat[next]) { // a class, %b, %f, %1, or an error
			return 0, false
		}
		c = m.pat[next]
		next++
	}
	if next < len(m.pat) && strings.IndexByte("*?-", m.pat[next]) >= 0 {
		return 0, false
	}
	return c, true
}
