package lint

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"luaserve/runtime"
)

// fact is something that is known at a place of the pipeline.
type fact struct {
	cond  *runtime.Condition // nil for the key of vhost.map
	is    bool               // whether it holds
	atoms []atom             // what follows from that
	by    runtime.Tree       // what has tested it
}

func newFact(c *runtime.Condition, is bool, by runtime.Tree) fact {
	return fact{c, is, atoms(c, is), by}
}

// verdict is what can be said about a condition.
type verdict int8

const (
	unknown verdict = iota
	always
	never
)

func verdictOf(b bool) verdict {
	if b {
		return always
	}
	return never
}

func (v verdict) not() verdict {
	switch v {
	case always:
		return never
	case never:
		return always
	}
	return unknown
}

// atom is a comparison of one variable, or its opposite.
type atom struct {
	variable, key string
	op            string // the positive one: eq, prefix, suffix, match, ip, lt, le, gt, ge, is
	operand       string
	is            bool
	cond          *runtime.Condition
}

// opposites maps the negated operators to what they negate.
var opposites = map[string]string{
	"ne": "eq", "notprefix": "prefix", "notsuffix": "suffix", "nomatch": "match", "notip": "ip", "isnot": "is",
}

func atomOf(c *runtime.Condition, is bool) atom {
	variable, key := c.Variable()
	a := atom{variable, key, c.Operator(), c.Operand(), is, c}
	if c.Negated() {
		a.op, a.is = opposites[a.op], !is
	}
	return a
}

// atoms returns the comparisons that follow from a condition that is or is not true.
func atoms(c *runtime.Condition, is bool) []atom {
	parts := c.Parts()
	if parts == nil {
		return []atom{atomOf(c, is)}
	}
	// all that is true, and any that is false, say something about each of their parts
	each := c.Operator() == "all" && is || c.Operator() == "any" && !is || c.Operator() == "none" && is
	if !each && len(parts) > 1 {
		return nil
	}
	partIs := is
	if c.Operator() == "none" {
		partIs = !is
	}
	var out []atom
	for _, p := range parts {
		out = append(out, atoms(p, partIs)...)
	}
	return out
}

// judge says whether a condition holds when the facts do.
func judge(facts []fact, c *runtime.Condition) verdict {
	var known []atom
	for _, f := range facts {
		if f.cond == c {
			return verdictOf(f.is)
		}
		known = append(known, f.atoms...)
	}
	return judgeWith(known, c)
}

func judgeWith(known []atom, c *runtime.Condition) verdict {
	parts := c.Parts()
	if parts == nil {
		return judgeAtom(known, atomOf(c, true))
	}
	// the parts are tested in order, so that those before are known
	isAll := c.Operator() == "all"
	result, sure := verdictOf(isAll), true
	for _, p := range parts {
		switch v := judgeWith(known, p); {
		case v == verdictOf(!isAll):
			result, sure = v, true
			if c.Operator() == "none" {
				result = result.not()
			}
			return result
		case v == unknown:
			sure = false
		}
		known = append(slices.Clip(known), atoms(p, isAll)...)
	}
	if !sure {
		return unknown
	}
	if c.Operator() == "none" {
		return result.not()
	}
	return result
}

func judgeAtom(known []atom, a atom) verdict {
	v := alone(a)
	for _, k := range known {
		if v != unknown {
			break
		}
		if k.variable == a.variable && k.key == a.key {
			v = positive(k, a)
		}
	}
	if !a.is {
		return v.not()
	}
	return v
}

// positive says whether the comparison in a holds, its sign left out, when k is so.
func positive(k, a atom) verdict {
	if k.op == a.op && k.operand == a.operand {
		return verdictOf(k.is)
	}
	if isOrder(a.op) || isOrder(k.op) {
		return order(k, a)
	}
	switch {
	case k.op == "eq" && k.is:
		return tested(k.operand, a)
	case k.op == "prefix" && k.is:
		return behindPrefix(k.operand, a, strings.HasPrefix, "prefix")
	case k.op == "suffix" && k.is:
		return behindPrefix(k.operand, a, strings.HasSuffix, "suffix")
	case k.op == "prefix" && (a.op == "prefix" || a.op == "eq") && strings.HasPrefix(a.operand, k.operand):
		return never
	case k.op == "suffix" && (a.op == "suffix" || a.op == "eq") && strings.HasSuffix(a.operand, k.operand):
		return never
	case k.op == "ip" && a.op == "ip":
		return network(k, a)
	case k.op == "match" && !k.is && a.op == "eq":
		if matches, ok := matchOf(k.operand, a.operand); ok && matches {
			return never
		}
	case k.op == "match" && k.is && a.op == "eq":
		if matches, ok := matchOf(k.operand, a.operand); ok && !matches {
			return never
		}
	}
	return unknown
}

// behindPrefix judges a comparison of a text that has k as its prefix, or its suffix.
func behindPrefix(k string, a atom, has func(s, part string) bool, op string) verdict {
	switch {
	case a.op == op && has(k, a.operand):
		return always
	case a.op == op && !has(a.operand, k), a.op == "eq" && !has(a.operand, k):
		return never
	case a.op == "is" && k != "":
		return always
	}
	return unknown
}

// tested compares a text that is known.
func tested(value string, a atom) verdict {
	switch a.op {
	case "eq":
		return verdictOf(value == a.operand)
	case "prefix":
		return verdictOf(strings.HasPrefix(value, a.operand))
	case "suffix":
		return verdictOf(strings.HasSuffix(value, a.operand))
	case "match":
		if matches, ok := matchOf(a.operand, value); ok {
			return verdictOf(matches)
		}
	}
	return unknown
}

// matchOf matches where Go's expressions and the runtime's agree: in ASCII.
func matchOf(expr, value string) (matches, ok bool) {
	for _, s := range []string{expr, value} {
		if strings.ContainsFunc(s, func(r rune) bool { return r > 126 }) {
			return false, false
		}
	}
	re, err := regexp.Compile(expr)
	return err == nil && re.MatchString(value), err == nil
}

// network compares two networks.
func network(k, a atom) verdict {
	known, ok1 := k.cond.Network()
	asked, ok2 := a.cond.Network()
	if !ok1 || !ok2 {
		return unknown
	}
	within := asked.Bits() <= known.Bits() && asked.Contains(known.Addr()) // all of known is in asked
	around := known.Bits() <= asked.Bits() && known.Contains(asked.Addr())
	switch {
	case k.is && within:
		return always
	case k.is && !around:
		return never
	case !k.is && around:
		return never
	}
	return unknown
}

func isOrder(op string) bool { return op == "lt" || op == "le" || op == "gt" || op == "ge" }

// numeric are the variables that are always a number.
var numeric = []string{"request.localport", "request.remoteport", "request.length", "physical.size", "response.status"}

// order compares numbers.
func order(k, a atom) verdict {
	if !slices.Contains(numeric, a.variable) {
		return unknown
	}
	from, to, ok := numbers(k.op, k.operand, k.is)
	if !ok {
		return unknown
	}
	wantFrom, wantTo, ok := numbers(a.op, a.operand, true)
	switch {
	case !ok || from > to:
		return unknown
	case wantFrom <= from && to <= wantTo:
		return always
	case wantTo < from || to < wantFrom:
		return never
	}
	return unknown
}

const farthest = int64(1) << 62

// numbers returns the range for which a comparison is so.
func numbers(op, operand string, is bool) (from, to int64, ok bool) {
	n, err := strconv.ParseInt(operand, 10, 62)
	if err != nil {
		return 0, 0, false
	}
	if !is {
		op = map[string]string{"lt": "ge", "le": "gt", "gt": "le", "ge": "lt"}[op]
	}
	switch op {
	case "eq":
		return n, n, is
	case "lt":
		return -farthest, n - 1, true
	case "le":
		return -farthest, n, true
	case "gt":
		return n + 1, farthest, true
	case "ge":
		return n, farthest, true
	}
	return 0, 0, false
}
