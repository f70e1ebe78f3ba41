package lint

import (
	"fmt"
	"net/http"
	"net/netip"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"luaserve/runtime"
)

// Conditions that are always the same, and values that a variable never has.

var (
	ruleConstant = &Rule{Code: "L020", Name: "constant-condition", Severity: Warning,
		Summary: "A condition is always true, or always false.",
		Why:     "What stands around the condition decides it already, or it says nothing itself: one of the two branches is never taken.",
		Silent:  "An action between the two tests may change the variable; only what follows from the text of the conditions is known, and of expressions only whether they match a fixed value.",
		Wrong:   `actions = when(request.path:prefix "", { respond "a" }, { respond "b" })`,
		Right:   `actions = when(request.path:prefix "/x", { respond "a" }, { respond "b" })`}
	ruleUnreachable = &Rule{Code: "L021", Name: "unreachable-branch", Severity: Warning,
		Summary: "An earlier condition of the else chain takes every request that this one is for.",
		Why:     `In a chain of else the first condition that holds is taken. prefix "/a" holds for "/a/b" too, so that a later prefix "/a/b" is never reached. Put the narrower condition first.`,
		Silent:  "The conditions are about different variables, or the one does not follow from the other by their text.",
		Wrong:   `actions = when(request.path:prefix "/a", { respond "wide" }, when(request.path:prefix "/a/b", { respond "narrow" }))`,
		Right:   `actions = when(request.path:prefix "/a/b", { respond "narrow" }, when(request.path:prefix "/a", { respond "wide" }))`}
	ruleContradiction = &Rule{Code: "L022", Name: "contradiction", Severity: Warning,
		Summary: "The conditions of an all{…} exclude each other.",
		Why:     "One variable cannot have two values at once: the combination is never true. any{…} is what means one or the other.",
		Silent:  "The conditions are about different variables, or the one does not exclude the other by their text.",
		Wrong:   `actions = when(all { request.path:eq "/a", request.path:eq "/b" }, { respond "a" })`,
		Right:   `actions = when(any { request.path:eq "/a", request.path:eq "/b" }, { respond "a" })`}
	ruleCovered = &Rule{Code: "L023", Name: "covered-alternative", Severity: Warning,
		Summary: "A condition of an any{…} or none{…} adds nothing to those before it.",
		Why:     "Whenever it holds, an earlier one holds as well. It can go, unless it was to be another one.",
		Silent:  "The one does not follow from the other by their text.",
		Wrong:   `actions = when(any { request.path:prefix "/a", request.path:eq "/a/b" }, { respond "a" })`,
		Right:   `actions = when(any { request.path:prefix "/a/", request.path:eq "/a" }, { respond "a" })`}
	ruleImpossible = &Rule{Code: "L024", Name: "impossible-value", Severity: Warning,
		Summary: "A variable is compared with a value that it never has.",
		Why:     `request.host is in lower case and has no port; request.path begins with "/"; methods are in upper case; request.scheme is "http" or "https"; numbers and booleans ("TRUE", "FALSE") are compared as text.`,
		Silent:  "A Lua function may set the variable to anything.",
		Wrong:   `actions = when(request.host:eq "Example.net:80", { respond "a" })`,
		Right:   `actions = when(request.host:eq "example.net", { respond "a" })`}
	ruleDeadRegex = &Rule{Code: "L025", Name: "dead-regex", Severity: Warning,
		Summary: "A regular expression cannot match its variable.",
		Why:     `Something stands before ^ or behind $, or the expression wants request.path to begin with another character than "/".`,
		Silent:  "The expression has alternatives of which one can match.",
		Wrong:   `actions = when(request.path:match "^static/", { respond "a" })`,
		Right:   `actions = when(request.path:match "^/static/", { respond "a" })`}

	conditionRules = []*Rule{ruleConstant, ruleUnreachable, ruleContradiction, ruleCovered, ruleImpossible, ruleDeadRegex}
)

// checkCondition checks what a when tests.
func (w *walk) checkCondition(t runtime.Tree, s state) {
	c := t.Condition()
	if w.checkOwn(t, c, s) {
		return
	}
	switch v := judge(s.facts, c); {
	case v == unknown:
		w.checkParts(t, c, s.facts)
	case judge(nil, c) == v && v == never && c.Operator() == "all":
		w.say(t, c, ruleContradiction, "any{…} is one or the other", "%s is never true: its conditions exclude each other", c)
	case judge(nil, c) == v:
		w.say(t, c, ruleConstant, "", "%s is always %t", c, v == always)
	default:
		w.reportKnown(t, c, v, s.facts)
	}
	if s.answered == nil && !s.maybe && !s.opaque {
		if variable, _ := firstTested(c).Variable(); strings.HasPrefix(variable, "response.") {
			w.say(t, c, ruleNoResponseYet, "put it behind the action that answers", "%s: there is no response yet, so that every request here ends with an error", firstTested(c))
		}
	}
}

// firstTested is the comparison that is made in any case.
func firstTested(c *runtime.Condition) *runtime.Condition {
	for len(c.Parts()) > 0 {
		c = c.Parts()[0]
	}
	return c
}

// say reports something about a condition of the when t.
func (w *walk) say(t runtime.Tree, c *runtime.Condition, rule *Rule, hint, format string, args ...any) {
	w.suspect(t, rule, func(int) {
		pos, at := w.c.prog.PosOf(c), c.Operand()
		if pos.Line == 0 {
			pos = t.Node.Pos
		}
		if at == "" {
			at = c.Operator()
		}
		w.c.report(rule, pos, at, 0, hint, format, args...)
	})
}

// reportKnown reports a condition that others have decided.
func (w *walk) reportKnown(t runtime.Tree, c *runtime.Condition, v verdict, facts []fact) {
	for i := range facts {
		f := facts[len(facts)-1-i] // the nearest one
		if judge([]fact{f}, c) != v {
			continue
		}
		if f.cond == nil {
			w.say(t, c, ruleConstant, "", "%s is always %t here: the entry of %s at %s has decided it", c, v == always, f.by.Node.Name, f.by.Node.Pos)
			return
		}
		if !f.is && v == never && t.Label == "else" {
			w.say(t, c, ruleUnreachable, "put the narrower condition first",
				"%s is never true here: %s at %s takes those requests", c, f.cond, f.by.Node.Pos)
			return
		}
		w.say(t, c, ruleConstant, "", "%s is always %t here, because of %s at %s", c, v == always, sign(&f), f.by.Node.Pos)
		return
	}
	w.say(t, c, ruleConstant, "", "%s is always %t here, because of the conditions around it", c, v == always)
}

// checkParts looks for parts of a combination that decide nothing.
func (w *walk) checkParts(t runtime.Tree, c *runtime.Condition, facts []fact) {
	isAll := c.Operator() == "all"
	for i, p := range c.Parts() {
		for _, before := range c.Parts()[:i] {
			if !isAll && judge([]fact{newFact(before, false, t)}, p) == never && judge(nil, p) == unknown {
				w.say(t, p, ruleCovered, "", "%s adds nothing: %s holds then, too", p, before)
				break
			}
		}
		if isAll && i > 0 && p.Parts() == nil {
			continue
		}
		w.checkParts(t, p, facts)
	}
}

// checkOwn checks each comparison for itself and reports whether something is wrong.
func (w *walk) checkOwn(t runtime.Tree, c *runtime.Condition, s state) bool {
	if parts := c.Parts(); parts != nil {
		wrong := false
		for _, p := range parts {
			wrong = w.checkOwn(t, p, s) || wrong
		}
		return wrong
	}
	if s.opaque {
		return false // a Lua function may have set it to anything
	}
	if why := impossible(atomOf(c, true)); why != "" {
		w.say(t, c, ruleImpossible, "", "%s is always %t: %s", c, c.Negated(), why)
		return true
	}
	if why := deadRegex(atomOf(c, true)); why != "" {
		w.say(t, c, ruleDeadRegex, "", "%s is always %t: %s", c, c.Negated(), why)
		return true
	}
	return false
}

// alone judges a comparison of which nothing else is known, its sign left out.
func alone(a atom) verdict {
	if (a.op == "prefix" || a.op == "suffix") && a.operand == "" {
		return always
	}
	return unknown
}

var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, http.MethodTrace, http.MethodConnect,
}

// impossible says why a variable never has a value, "" when it may.
func impossible(a atom) string {
	v := a.operand
	exact, begins := a.op == "eq", a.op == "eq" || a.op == "prefix"
	textual := begins || a.op == "suffix"
	switch {
	case a.variable == "request.host" && textual && v != strings.ToLower(v):
		return "request.host is in lower case"
	case a.variable == "request.host" && begins && strings.Contains(v, ":") && !strings.HasPrefix(v, "["):
		return "request.host has no port"
	case a.variable == "request.host" && textual && strings.ContainsAny(v, "/ "):
		return "a host name has no such character"
	case a.variable == "request.path" && begins && v != "" && v[0] != '/' && v != "*":
		return `request.path begins with "/"`
	case a.variable == "request.path" && (exact || a.op == "prefix") && strings.Contains(v, "//"):
		return `request.path is simplified: "//" is "/"`
	case a.variable == "request.method" && exact && !slices.Contains(methods, v) && slices.Contains(methods, strings.ToUpper(v)):
		return "methods are in upper case"
	case a.variable == "request.scheme" && exact && v != "http" && v != "https":
		return `request.scheme is "http" or "https"`
	case slices.Contains(numeric, a.variable) && exact && !isNumber(v):
		return a.variable + " is a number"
	case (strings.HasPrefix(a.variable, "physical.is_") || a.variable == "physical.exists" || a.variable == "request.is_handled") && exact && v != "TRUE" && v != "FALSE":
		return `as a text it is "TRUE" or "FALSE"; write :is() or :isnot()`
	case (a.variable == "request.remoteip" || a.variable == "request.localip") && exact && v != "" && !isCanonical(v):
		return `as a text it is a plain address; networks are compared with :ip`
	}
	return ""
}

func isNumber(s string) bool {
	n, err := strconv.ParseInt(s, 10, 64)
	return err == nil && fmt.Sprint(n) == s
}

func isCanonical(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.String() == s
}

// deadRegex says why an expression never matches, "" when it may.
func deadRegex(a atom) string {
	if a.op != "match" {
		return ""
	}
	re, err := syntax.Parse(a.operand, syntax.Perl)
	if err != nil {
		return ""
	}
	if misplaced(re.Simplify()) {
		return "something stands before its beginning or behind its end"
	}
	if a.variable == "request.path" {
		if first, ok := firstRune(re); ok && first != '/' && first != '*' {
			return `request.path begins with "/"`
		}
	}
	return ""
}

// misplaced reports whether an expression needs text before its beginning or behind its end.
func misplaced(re *syntax.Regexp) bool {
	if re.Op == syntax.OpCapture {
		return misplaced(re.Sub[0])
	}
	if re.Op != syntax.OpConcat {
		return false
	}
	for i, sub := range re.Sub {
		if sub.Op == syntax.OpBeginText && slices.ContainsFunc(re.Sub[:i], mustConsume) {
			return true
		}
		if sub.Op == syntax.OpEndText && slices.ContainsFunc(re.Sub[i+1:], mustConsume) {
			return true
		}
		if misplaced(sub) {
			return true
		}
	}
	return false
}

// mustConsume reports whether an expression matches no empty text.
func mustConsume(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpLiteral, syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return true
	case syntax.OpPlus, syntax.OpCapture:
		return mustConsume(re.Sub[0])
	case syntax.OpConcat:
		return slices.ContainsFunc(re.Sub, mustConsume)
	}
	return false
}

// firstRune returns the character that a text must begin with to match.
func firstRune(re *syntax.Regexp) (rune, bool) {
	for re.Op == syntax.OpCapture {
		re = re.Sub[0]
	}
	if re.Op != syntax.OpConcat || len(re.Sub) < 2 || re.Sub[0].Op != syntax.OpBeginText {
		return 0, false
	}
	next := re.Sub[1]
	for next.Op == syntax.OpCapture {
		next = next.Sub[0]
	}
	if next.Op != syntax.OpLiteral || len(next.Rune) == 0 {
		return 0, false
	}
	return next.Rune[0], true
}
