package luastring

import (
	"strings"
)

// Patterns (Lua 5.1 reference manual, 5.4.1) are matched by backtracking, straight from
// their text: an error in a pattern is raised when matching gets there, not before, as in
// Lua. What differs from the textbook is what makes the usual patterns fast: runs of single
// characters need no recursion, and where a plain character must follow, the places without
// one are jumped over.

const (
	maxCaptures = 32
	maxDepth    = 200     // of the recursion
	checkEvery  = 1 << 16 // bytes looked at between two looks at the time
)

// Lengths of captures that are none.
const (
	openCapture     = -1
	positionCapture = -2
)

// none is the end of a match that there is not.
const none = -1

type capture struct{ start, length int }

// matcher matches one pattern against one string.
type matcher struct {
	c        call
	src, pat string
	level    int // how many captures there are
	depth    int
	fuel     int
	captures [maxCaptures]capture

	head     head
	sets     [4]knownSet // the first sets that were read
	numSets  int
	moreSets map[int]*set // the others, by their place
}

// knownSet is a set of the pattern with the place of its bracket.
type knownSet struct {
	at   int
	bits set
}

// init prepares a matcher. A zero byte ends a pattern, as it ends a string in C.
func (m *matcher) init(c call, src, pat string) {
	m.c, m.src, m.pat, m.fuel = c, src, cString(pat), checkEvery
}

// spend counts the work that was done, and looks at the time when it was much.
func (m *matcher) spend(work int) {
	m.fuel -= work
	if m.fuel < 0 {
		m.fuel = checkEvery
		m.c.checkTime()
	}
}

// itemKind says what matches a single character.
type itemKind uint8

const (
	anyByte  itemKind = iota
	oneByte           // literal
	otherBut          // anything but literal
	oneOf             // set
)

// item is the part of a pattern that matches a single character.
type item struct {
	kind    itemKind
	literal byte
	set     *set
	next    int // place behind it in the pattern
}

func (it *item) matches(b byte) bool {
	switch it.kind {
	case oneByte:
		return b == it.literal
	case otherBut:
		return b != it.literal
	case oneOf:
		return it.set.has(b)
	}
	return true
}

// item reads the single character item at place p of the pattern.
func (m *matcher) item(p int) item {
	switch m.pat[p] {
	case '.':
		return item{kind: anyByte, next: p + 1}
	case '%':
		if p+1 == len(m.pat) {
			m.c.fail("malformed pattern (ends with '%%')")
		}
		if class := classes[m.pat[p+1]]; class != nil {
			return item{kind: oneOf, set: class, next: p + 2}
		}
		return item{kind: oneByte, literal: m.pat[p+1], next: p + 2}
	case '[':
		next := m.setEnd(p)
		if next-p == len("[^x]") && m.pat[p+1] == '^' {
			return item{kind: otherBut, literal: m.pat[p+2], next: next}
		}
		return item{kind: oneOf, set: m.set(p, next), next: next}
	}
	return item{kind: oneByte, literal: m.pat[p], next: p + 1}
}

// setEnd returns the place behind the [set] at p.
func (m *matcher) setEnd(p int) int {
	i := p + 1
	if i < len(m.pat) && m.pat[i] == '^' {
		i++
	}
	for first := true; i < len(m.pat); first = false {
		switch {
		case m.pat[i] == ']' && !first:
			return i + 1
		case m.pat[i] == '%' && i+1 < len(m.pat):
			i++
		}
		i++
	}
	m.c.fail("malformed pattern (missing ']')")
	return 0
}

// set returns the set of pat[p:next], which is read only once. It stays where it is: items
// further up in the recursion point to it.
func (m *matcher) set(p, next int) *set {
	for i := range m.numSets {
		if m.sets[i].at == p {
			return &m.sets[i].bits
		}
	}
	if known := m.moreSets[p]; known != nil {
		return known
	}
	bits := parseSet(m.pat[p+1 : next])
	if m.numSets < len(m.sets) {
		known := &m.sets[m.numSets]
		m.numSets++
		known.at, known.bits = p, bits
		return &known.bits
	}
	return m.keepSet(p, bits)
}

func (m *matcher) keepSet(p int, bits set) *set {
	if m.moreSets == nil {
		m.moreSets = map[int]*set{}
	}
	m.moreSets[p] = &bits
	return &bits
}

// match returns where a match of pat[p:] that begins at s ends, or none.
func (m *matcher) match(s, p int) int {
	m.depth++
	if m.depth > maxDepth {
		m.c.fail("pattern too complex")
	}
	end := m.run(s, p)
	m.depth--
	return end
}

func (m *matcher) run(s, p int) int {
	m.spend(1)
	for p < len(m.pat) {
		switch m.pat[p] {
		case '(':
			return m.openCapture(s, p+1)
		case ')':
			return m.closeCapture(s, p+1)
		case '$':
			if p+1 == len(m.pat) {
				if s == len(m.src) {
					return s
				}
				return none
			}
		case '%':
			if end, next, special := m.special(s, p); special {
				if end == none {
					return none
				}
				s, p = end, next
				continue
			}
		}
		it := m.item(p)
		if it.next < len(m.pat) {
			switch m.pat[it.next] {
			case '*':
				return m.longest(s, 0, &it)
			case '+':
				return m.longest(s, 1, &it)
			case '-':
				return m.shortest(s, &it)
			case '?':
				if s < len(m.src) && it.matches(m.src[s]) {
					if end := m.match(s+1, it.next+1); end != none {
						return end
					}
				}
				p = it.next + 1
				continue
			}
		}
		if s == len(m.src) || !it.matches(m.src[s]) {
			return none
		}
		s, p = s+1, it.next
	}
	return s
}

// special matches %b, %f and %1 to %9; it returns where the match ends and where the
// pattern goes on.
func (m *matcher) special(s, p int) (end, next int, special bool) {
	if p+1 == len(m.pat) {
		return 0, 0, false
	}
	switch c := m.pat[p+1]; {
	case c == 'b':
		return m.balanced(s, p+2), p + 4, true
	case c == 'f':
		end, next = m.frontier(s, p+2)
		return end, next, true
	case c >= '0' && c <= '9':
		return m.backReference(s, c), p + 2, true
	}
	return 0, 0, false
}

func (m *matcher) openCapture(s, p int) int {
	if m.level == maxCaptures {
		m.c.fail("too many captures")
	}
	m.captures[m.level] = capture{s, openCapture}
	if p < len(m.pat) && m.pat[p] == ')' {
		m.captures[m.level].length = positionCapture
		p++
	}
	m.level++
	end := m.match(s, p)
	if end == none {
		m.level--
	}
	return end
}

func (m *matcher) closeCapture(s, p int) int {
	i := m.level - 1
	for i >= 0 && m.captures[i].length != openCapture {
		i--
	}
	if i < 0 {
		m.c.fail("invalid pattern capture")
	}
	m.captures[i].length = s - m.captures[i].start
	end := m.match(s, p)
	if end == none {
		m.captures[i].length = openCapture
	}
	return end
}

func (m *matcher) backReference(s int, digit byte) int {
	i := int(digit) - '1'
	if i < 0 || i >= m.level || m.captures[i].length == openCapture {
		m.c.fail("invalid capture index")
	}
	if m.captures[i].length == positionCapture {
		return none
	}
	text := m.src[m.captures[i].start:][:m.captures[i].length]
	m.spend(len(text))
	if strings.HasPrefix(m.src[s:], text) {
		return s + len(text)
	}
	return none
}

// balanced matches %bxy, whose two characters stand at p.
func (m *matcher) balanced(s, p int) int {
	if p+1 >= len(m.pat) {
		m.c.fail("unbalanced pattern")
	}
	open, closing := m.pat[p], m.pat[p+1]
	if s == len(m.src) || m.src[s] != open {
		return none
	}
	depth := 1
	for i := s + 1; i < len(m.src); i++ {
		switch m.src[i] {
		case closing:
			depth--
			if depth == 0 {
				m.spend(i - s)
				return i + 1
			}
		case open:
			depth++
		}
	}
	m.spend(len(m.src) - s)
	return none
}

// frontier matches %f[set], whose set stands at p: the place between a character that is
// not in the set and one that is. Both ends of the string count as zero bytes.
func (m *matcher) frontier(s, p int) (end, next int) {
	if p == len(m.pat) || m.pat[p] != '[' {
		m.c.fail("missing '[' after '%%f' in pattern")
	}
	next = m.setEnd(p)
	in := m.set(p, next)
	var before, after byte
	if s > 0 {
		before = m.src[s-1]
	}
	if s < len(m.src) {
		after = m.src[s]
	}
	if in.has(before) || !in.has(after) {
		return none, next
	}
	return s, next
}
