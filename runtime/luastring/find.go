package luastring

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

func strFind(c call) int  { return c.find(true) }
func strMatch(c call) int { return c.find(false) }

// find is string.find, which returns where the match is, and string.match.
func (c call) find(places bool) int {
	src, pat := c.str(1), c.str(2)
	from := min(max(position(c.optInteger(3, 1), len(src))-1, 0), len(src))
	if places && (lua.LVAsBool(c.L.Get(4)) || !strings.ContainsAny(cString(pat), "^$*+?.([%-")) {
		i := strings.Index(src[from:], pat)
		if i < 0 {
			return c.pushNil()
		}
		c.pushInt(from + i + 1)
		c.pushInt(from + i + len(pat))
		return 2
	}
	var m matcher
	start, end := from, none
	if strings.HasPrefix(pat, "^") {
		m.init(c, src, pat[1:])
		end = m.match(from, 0)
	} else {
		m.init(c, src, pat)
		start, end = m.search(from)
	}
	if end == none {
		return c.pushNil()
	}
	if !places {
		return m.pushCaptures(start, end)
	}
	c.pushInt(start + 1)
	c.pushInt(end)
	for i := range m.level {
		m.pushCapture(i, start, end)
	}
	return 2 + m.level
}

func (c call) pushNil() int {
	c.L.Push(lua.LNil)
	return 1
}

// pushCaptures pushes the captures of a match, or all of it if it has none.
func (m *matcher) pushCaptures(start, end int) int {
	count := max(m.level, 1)
	for i := range count {
		m.pushCapture(i, start, end)
	}
	return count
}

// pushCapture pushes capture i, from 0. In a pattern without captures the whole match is
// the first.
func (m *matcher) pushCapture(i, start, end int) {
	from, length := m.capture(i, start, end)
	if length == positionCapture {
		m.c.pushInt(from + 1)
		return
	}
	m.c.pushPiece(m.src, from, from+length)
}

func (m *matcher) capture(i, start, end int) (from, length int) {
	switch {
	case i == 0 && m.level == 0:
		return start, end - start
	case i >= m.level:
		m.c.fail("invalid capture index")
	case m.captures[i].length == openCapture:
		m.c.fail("unfinished capture")
	}
	return m.captures[i].start, m.captures[i].length
}

// matches is what the iterator of gmatch needs. It is a Go value that changes, which a
// state with it must not share.
type matches struct {
	matcher
	next int
	fn   *lua.LFunction // the iterator
}

func strGmatch(c call) int {
	all := &matches{}
	all.init(c, c.str(1), c.str(2))
	data := c.L.NewUserData()
	data.Value = all
	all.fn = c.L.NewClosure(nextMatch, data)
	c.L.Push(all.fn)
	return 1
}

// Next does what the iterator does, without a call frame, and changes nothing when it raises
// an error. It returns false for a function that is not the iterator.
func (all *matches) Next(L *lua.LState, fn *lua.LFunction) (n int, ok bool) {
	if fn != all.fn {
		return 0, false
	}
	all.c.L = L
	start, end, next := all.find()
	if end != none {
		n = all.pushCaptures(start, end)
	}
	all.next = next
	return n, true
}

// find looks for the next match and returns where to look for the one behind it. end is none
// when there is no match.
func (all *matches) find() (start, end, next int) {
	if all.next > len(all.src) {
		return 0, none, all.next
	}
	start, end = all.search(all.next)
	switch end {
	case none:
		next = len(all.src) + 1
	case start:
		next = end + 1
	default:
		next = end
	}
	return start, end, next
}

// nextMatch returns the captures of the next match, nothing when there is none.
func nextMatch(L *lua.LState) int {
	all := L.Get(lua.UpvalueIndex(1)).(*lua.LUserData).Value.(*matches)
	all.c.L = L // each call may come from another coroutine
	start, end, next := all.find()
	all.next = next
	if end == none {
		return 0
	}
	return all.pushCaptures(start, end)
}
