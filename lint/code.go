package lint

import (
	"slices"
	"strconv"
	"strings"

	"github.com/yuin/gopher-lua/ast"

	"luaserve/runtime"
)

// Code: calls and tables that do not do what they look like.

var (
	ruleThrownAway = &Rule{Code: "L060", Name: "action-thrown-away", Severity: Warning,
		Summary: "An action is made and not put anywhere.",
		Why: "An action does something when it is part of the pipeline. Called on a line of its own it is made and thrown away. " +
			"What sets an option for all requests is the setup of the same name.",
		Silent: "Its result is kept in a variable, a table or an argument.",
		Wrong: `server.tag "my server"
actions = respond "hello"`,
		Right: `setup.server.tag "my server"
actions = respond "hello"`}
	ruleKeyTwice = &Rule{Code: "L061", Name: "key-twice", Severity: Warning,
		Summary: "A table has a key twice; the last one counts.",
		Why:     "Lua says nothing about it. In vhost.map the site that stands first is gone.",
		Silent:  "A key is the result of an expression.",
		Wrong: `actions = vhost.map {
  ["a.example.net"] = respond "one",
  ["a.example.net"] = respond "two",
}`,
		Right: `actions = vhost.map {
  ["a.example.net"] = respond "one",
  ["b.example.net"] = respond "two",
}`}
	rulePattern = &Rule{Code: "L062", Name: "slow-pattern", Severity: Warning,
		Summary: "A Lua pattern takes a time that grows with the square of the text or worse.",
		Why:     "Two repetitions of the same characters beside each other can share a text in any way, and all of them are tried when the rest does not fit. With a long text from a client that takes seconds.",
		Silent:  "The repetitions are of different characters, or something stands between them.",
		Wrong: `actions = function(vr)
  if vr.req.uri.path:find(".-.-.-b") then vr:handle_direct() end
end`,
		Right: `actions = function(vr)
  if vr.req.uri.path:find("b", 1, true) then vr:handle_direct() end
end`}

	codeRules = []*Rule{ruleThrownAway, ruleKeyTwice, rulePattern}
)

// checkCode checks the text of the scripts.
func (c *checker) checkCode() {
	var all []*code
	set := map[string]setters{}
	dynamic := false
	for _, s := range c.order {
		code := readCode(s)
		if code == nil {
			continue
		}
		code.markRequests(c.handlers[s.name])
		all = append(all, code)
		for _, u := range code.globals {
			if by := set[u.name]; u.set {
				set[u.name] = setters{by.handlers || u.in.request, by.loading || !u.in.request}
			}
		}
		dynamic = dynamic || code.dynamic
	}
	n := c.namesOf()
	for _, code := range all {
		if !dynamic {
			c.checkGlobals(code, n, set)
		}
		c.checkLocals(code)
		c.checkThrown(code, n)
		for _, t := range code.tables {
			c.checkKeysOf(code, t)
		}
		for _, call := range code.calls {
			c.checkPattern(code, call)
		}
	}
}

func (c *checker) checkThrown(code *code, n names) {
	for _, t := range code.thrown {
		name, explicit := strings.CutPrefix(t.name, "action.")
		if !n.actions[name] || t.in.request && !explicit {
			continue
		}
		pos := runtime.Pos{File: code.source.name, Line: t.call.Line()}
		switch {
		case t.in.request:
			c.report(ruleThrownAway, pos, t.name, 0, "write vr:enter_action("+t.name+"(…))", "%s only makes an action: nothing runs it", t.name)
		case n.options[name]:
			f := c.report(ruleThrownAway, pos, t.name, 0, "write setup."+name, "%s changes nothing here: it only makes an action", t.name)
			if tok, ok := code.place(pos.Line, t.name); ok {
				f.Fix = &Fix{"write setup." + name, []Edit{{tok.Offset, tok.End(), "setup." + name}}}
			}
		default:
			c.report(ruleThrownAway, pos, t.name, 0, "put it into the list of actions", "%s only makes an action: nothing runs it", t.name)
		}
	}
}

func (c *checker) checkKeysOf(code *code, t *ast.TableExpr) {
	seen := map[string]bool{}
	for _, f := range t.Fields {
		key := ""
		switch k := f.Key.(type) {
		case *ast.StringExpr:
			key = strconv.Quote(k.Value)
		case *ast.NumberExpr:
			key = k.Value
		default:
			continue
		}
		if seen[key] {
			text := strings.Trim(key, `"`)
			pos := c.lineOf(code, f.Key.Line(), text, t)
			number := len(code.source.text.Find(pos.Line, text)) - 1
			c.report(ruleKeyTwice, pos, text, max(number, 0), "", "the key %s is there twice: the entry before is lost", key)
		}
		seen[key] = true
	}
}

// lineOf is the place of a key: the tree has none for keys without brackets.
func (c *checker) lineOf(code *code, line int, text string, t *ast.TableExpr) runtime.Pos {
	if line == 0 {
		line = t.Line()
		for at := t.Line(); at <= max(t.LastLine(), t.Line()+200); at++ {
			if len(code.source.text.Find(at, text)) > 0 {
				line = at // the last one, or one of a table behind it
				if at > t.LastLine() && t.LastLine() > 0 {
					break
				}
			}
		}
	}
	return runtime.Pos{File: code.source.name, Line: line}
}

// patternCalls are the functions that take a pattern, and which argument of the plain form it is.
var patternCalls = []string{"find", "match", "gmatch", "gsub"}

func (c *checker) checkPattern(code *code, call *ast.FuncCallExpr) {
	at := 0
	name := call.Method
	if call.Receiver == nil {
		get, ok := call.Func.(*ast.AttrGetExpr)
		if !ok {
			return
		}
		key, isName := get.Key.(*ast.StringExpr)
		lib, isLib := get.Object.(*ast.IdentExpr)
		if !isName || !isLib || lib.Value != "string" {
			return
		}
		name, at = key.Value, 1
	}
	if !slices.Contains(patternCalls, name) || len(call.Args) <= at {
		return
	}
	if name == "find" && len(call.Args) > at+2 { // perhaps a plain text
		return
	}
	pattern, ok := call.Args[at].(*ast.StringExpr)
	if !ok {
		return
	}
	if part := slowPart(pattern.Value); part != "" {
		pos := runtime.Pos{File: code.source.name, Line: call.Line()}
		if pattern.Line() > 0 {
			pos.Line = pattern.Line()
		}
		c.report(rulePattern, pos, pattern.Value, 0, "one repetition matches the same", "the pattern %q needs a time that grows fast with the text: %s repeats the same characters twice", pattern.Value, part)
	}
}

// slowPart returns two repetitions of the same characters beside each other that something
// stands behind, "" when there are none.
func slowPart(pattern string) string {
	var last, lastText string
	for i := 0; i < len(pattern); {
		class, length := classAt(pattern, i)
		i += length
		if class == "" { // a capture, an anchor
			if pattern[i-length] != '(' && pattern[i-length] != ')' {
				last = ""
			}
			continue
		}
		if i < len(pattern) && (pattern[i] == '*' || pattern[i] == '-' || pattern[i] == '+') {
			text := class + pattern[i:i+1]
			i++
			if last == class && fails(pattern[i:]) {
				return lastText + text
			}
			last, lastText = class, text
			continue
		}
		last = ""
	}
	return ""
}

// fails reports whether a rest of a pattern may not fit.
func fails(rest string) bool { return strings.Trim(rest, "()") != "" }

// classAt returns the single-character class that begins at i, "" for what is none.
func classAt(p string, i int) (class string, length int) {
	switch p[i] {
	case '(', ')':
		return "", 1
	case '^':
		if i == 0 {
			return "", 1
		}
	case '$':
		if i == len(p)-1 {
			return "", 1
		}
	case '%':
		switch {
		case i+1 >= len(p):
			return "", 1
		case p[i+1] == 'b' && i+3 < len(p):
			return "", 4
		case p[i+1] == 'f', '0' <= p[i+1] && p[i+1] <= '9':
			return "", 2
		}
		return p[i : i+2], 2
	case '[':
		end := i + 1
		if end < len(p) && p[end] == '^' {
			end++
		}
		if end < len(p) && p[end] == ']' {
			end++
		}
		for end < len(p) && p[end] != ']' {
			if p[end] == '%' {
				end++
			}
			end++
		}
		return p[i:min(end+1, len(p))], min(end+1, len(p)) - i
	}
	return p[i : i+1], 1
}
