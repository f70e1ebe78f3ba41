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
}

func strGmatch(c call) int {
	all := &matches{}
	all.init(c, c.str(1), c.str(2))
	data := c.L.NewUserData()
	data.Value = all
	c.L.Push(c.L.NewClosure(nextMatch, data))
	return 1
}

// nextMatch returns the captures of the next match, nothing when there is none.
func nextMatch(L *lua.LState) int {
	all := L.Get(lua.UpvalueIndex(1)).(*lua.LUserData).Value.(*matches)
	all.c.L = L // each call may come from another coroutine
	if all.next > len(all.src) {
		return 0
	}
	start, end := all.search(all.next)
	if end == none {
		all.next = len(all.src) + 1
		return 0
	}
	all.next = end
	if end == start {
		all.next++
	}
	return all.pushCaptures(start, end)
}
