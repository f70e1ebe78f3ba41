package runtime

import (
	"net/netip"
	"strings"
)

// A need is a text that a variable must have in a certain place before a rule can matter:
// request.path begins with "/static/". Needs are what rules are indexed by.
//
// Letters are lower-case in needs, and a subject is lowered when it is looked up: so a need
// also serves expressions with (?i). A need may be met by more values than the condition
// it was taken from; the condition itself always has the last word.
type need struct {
	lvalue LValue
	textNeed
}

// textNeed is a need without its variable. The text of a network is as [networkText] has it.
type textNeed struct {
	place place
	text  string
}

// place says where the text must be. The order is the order of preference.
type place uint8

const (
	isEqual place = iota
	isPrefix
	isSuffix
	isInNetwork // of an address
	isWithin
)

// met reports whether a value has the text in the place.
func (n textNeed) met(value string) bool {
	value = lowered(value)
	switch n.place {
	case isEqual:
		return value == n.text
	case isPrefix:
		return strings.HasPrefix(value, n.text)
	case isSuffix:
		return strings.HasSuffix(value, n.text)
	}
	return strings.Contains(value, n.text)
}

// needs are alternatives: one of them must be met. None at all can never be met.
type needs []need

// maxNeeds bounds the alternatives of one rule.
const maxNeeds = 4096

// needsFor returns what must be so before the condition can be want; each element of the
// result is sufficient on its own to rule the condition out. None means that nothing
// is known.
//
// A condition that is ruled out is not tested. So nothing may get lost that testing it
// would have done: an error, a body that is read. With keep, captures must not get lost
// either: in a chain of else the actions behind see those that a failed all{…} has left.
func (c *Condition) needsFor(want, keep bool) []needs {
	positive := want != c.op.negate
	switch c.op {
	case &opAll:
		if positive {
			return c.needsForEach(true, keep)
		}
		return c.needsForOne(false, keep)
	case &opAny, &opNone:
		if positive {
			return c.needsForOne(true, keep)
		}
		return c.needsForEach(false, keep)
	}
	if !positive {
		return nil
	}
	switch c.lvalue.def.kind {
	case lvString:
		return c.needsText()
	case lvIP:
		return c.needsAddress()
	}
	return nil
}

func (c *Condition) needsText() []needs {
	switch c.op.name {
	case "eq", "ne":
		return c.textNeed(isEqual)
	case "prefix", "notprefix":
		return c.textNeed(isPrefix)
	case "suffix", "notsuffix":
		return c.textNeed(isSuffix)
	case "match", "nomatch":
		return textNeedsOf(*c.lvalue, c.parsed.(*Regex).needs())
	}
	return nil
}

func (c *Condition) needsAddress() []needs {
	switch c.op.name {
	case "ip", "notip":
		return []needs{{need{*c.lvalue, textNeed{isInNetwork, networkText(c.parsed.(netip.Prefix))}}}}
	case "eq", "ne": // compares the text; only one text of an address is the usual one
		if a, err := netip.ParseAddr(c.arg); err == nil && a.String() == c.arg && a.Zone() == "" {
			return []needs{{need{*c.lvalue, textNeed{isInNetwork, networkText(netip.PrefixFrom(a, a.BitLen()))}}}}
		}
	}
	return nil
}

// networkText is a network as the text of a need: its address in bytes, and their number of
// bits.
func networkText(p netip.Prefix) string {
	return string(append(p.Masked().Addr().AsSlice(), byte(p.Bits())))
}

func (c *Condition) textNeed(p place) []needs {
	return []needs{{need{*c.lvalue, textNeed{p, lowered(c.arg)}}}}
}

// textNeedsOf says of what variable texts are needed.
func textNeedsOf(lv LValue, choices [][]textNeed) []needs {
	out := make([]needs, len(choices))
	for i, alternatives := range choices {
		for _, t := range alternatives {
			out[i] = append(out[i], need{lv, t})
		}
	}
	return out
}

// needsForEach serves a combination all of whose parts must be want. Those behind a part
// that does something count no more.
func (c *Condition) needsForEach(want, keep bool) []needs {
	var out []needs
	for _, part := range c.parts() {
		out = append(out, part.needsFor(want, keep)...)
		if !part.harmless() || keep && part.captures() {
			break
		}
	}
	return out
}

// needsForOne serves a combination one of whose parts must be want.
func (c *Condition) needsForOne(want, keep bool) []needs {
	var union needs
	for _, part := range c.parts() {
		var ok bool
		if union, ok = union.or(part.needsFor(want, keep)); !ok {
			return nil
		}
	}
	return []needs{union}
}

// or adds the best of the choices to the alternatives.
func (n needs) or(choices []needs) (needs, bool) {
	if len(choices) == 0 {
		return nil, false
	}
	best := choices[0]
	for _, c := range choices[1:] {
		if c.better(best) {
			best = c
		}
	}
	return append(n, best...), len(n)+len(best) <= maxNeeds
}

// better reports whether n is likely to be met by fewer values than m.
func (n needs) better(m needs) bool {
	if len(n) == 0 || len(m) == 0 {
		return len(n) < len(m)
	}
	a, b := n[0], m[0]
	if a.place != b.place {
		return a.place < b.place
	}
	return len(a.text) > len(b.text)
}

// harmless reports whether testing the condition can neither fail nor do anything.
func (c *Condition) harmless() bool {
	if c.lvalue != nil {
		return !c.lvalue.def.mayFail
	}
	for _, part := range c.parts() {
		if !part.harmless() {
			return false
		}
	}
	return true
}

// captures reports whether testing the condition may leave captures.
func (c *Condition) captures() bool {
	if _, ok := c.parsed.(*Regex); ok {
		return true
	}
	for _, part := range c.parts() {
		if part.captures() {
			return true
		}
	}
	return false
}

// needsOf returns what must be so before an action does anything at all: a when needs its
// condition, a list one of its elements. None means that nothing is known.
func needsOf(a Action) []needs {
	switch a := a.(type) {
	case *Node:
		return needsOf(a.Act)
	case *When:
		return a.needs()
	case List:
		return needsOfList(a)
	case *ruleList:
		return needsOfList(a.actions)
	}
	return nil
}

func needsOfList(l List) []needs {
	union := needs{}
	for _, item := range l {
		var ok bool
		if union, ok = union.or(needsOf(item)); !ok {
			return nil
		}
	}
	return []needs{union}
}

func (w *When) needs() []needs {
	switch {
	case w.Then != nil && w.Else != nil:
		union, ok := needs{}.or(w.Cond.needsFor(true, false))
		if !ok {
			return nil
		}
		if union, ok = union.or(needsOf(w.Else)); !ok {
			return nil
		}
		return []needs{union}
	case w.Then != nil:
		return w.Cond.needsFor(true, false)
	case w.Else != nil:
		return w.Cond.needsFor(false, false)
	}
	return nil
}

// lowered returns s with the letters of ASCII in lower case; other bytes stay.
func lowered(s string) string {
	for i := 0; i < len(s); i++ {
		if lower[s[i]] != s[i] {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				b[j] = lower[b[j]]
			}
			return string(b)
		}
	}
	return s
}

// lower maps each byte to the lower-case letter, or to itself.
var lower = func() (table [256]byte) {
	for i := range table {
		table[i] = byte(i)
		if 'A' <= i && i <= 'Z' {
			table[i] += 'a' - 'A'
		}
	}
	return
}()
