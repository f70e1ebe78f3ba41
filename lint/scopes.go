package lint

import (
	"slices"
	"strings"

	"luaserve/runtime"
)

// Names: globals that are not there, variables that nobody reads.

var (
	ruleUndefined = &Rule{Code: "L050", Name: "undefined-global", Severity: Error,
		Summary: "A name is used that nothing defines.",
		Why:     "Code that runs while the script is loaded finds out at once. In a handler the name is nil, and the request ends with 500.",
		Silent:  "The script tests whether the name is there, or makes globals in a way that cannot be followed (setfenv, require, _G[name]).",
		Wrong: `actions = function(vr)
  vr.resp.status = respons_code
end`,
		Right: `local response_code = 204
actions = function(vr)
  vr.resp.status = response_code
end`}
	ruleLoadOnly = &Rule{Code: "L051", Name: "not-in-handlers", Severity: Error,
		Summary: "A handler uses a name that is only there while the script is loaded.",
		Why: "Handlers have globals of their own. Those that the script sets while it is loaded are forgotten then: a handler takes them from a local. " +
			"The bare names of actions and setups are not there either; action.respond(…) is.",
		Silent: "It is not certain that the function runs while requests are handled, or a handler sets the name.",
		Wrong: `greeting = "hello"
actions = function(vr)
  if vr:handle_direct() then vr.out:add(greeting) end
end`,
		Right: `local greeting = "hello"
actions = function(vr)
  if vr:handle_direct() then vr.out:add(greeting) end
end`}
	ruleHandlerGlobal = &Rule{Code: "L052", Name: "global-in-handler", Severity: Warning,
		Summary: "A handler sets a global, which is gone at the end of the request.",
		Why:     "Globals of a handler live as long as the request, and no other handler sees them. A local says that; a field of REQ is for all handlers of the request, one of _G for all requests.",
		Silent:  "Another function reads the global, or the handler asks whether it is set already: it may run twice for one request.",
		Wrong: `actions = function(vr)
  count = 1
  if vr:handle_direct() then vr.out:add("n" .. count) end
end`,
		Right: `actions = function(vr)
  local count = 1
  if vr:handle_direct() then vr.out:add("n" .. count) end
end`}
	ruleUnusedLocal = &Rule{Code: "L053", Name: "unused-local", Severity: Warning,
		Summary: "A local variable is never read.",
		Why:     "A site or a rule that was written and is not part of the pipeline looks like this. Remove it, or begin its name with _ if it is meant to be.",
		Silent:  "The name begins with _, or it is a parameter, a loop variable, or stands before one that is used.",
		Wrong: `local wiki = { respond "wiki" }
actions = { respond "hello" }`,
		Right: `local wiki = { respond "wiki" }
actions = { when(request.path:prefix "/wiki", wiki), respond "hello" }`}
	ruleUnusedFunction = &Rule{Code: "L054", Name: "unused-function", Severity: Warning,
		Summary: "A local function is never used.",
		Why:     "A handler that nobody put into the pipeline never runs.",
		Silent:  "The name begins with _, or something reads it.",
		Wrong: `local function hello(vr) vr:handle_direct() end
actions = { respond "hello" }`,
		Right: `local function hello(vr) vr:handle_direct() end
actions = { hello }`}

	scopeRules = []*Rule{ruleUndefined, ruleLoadOnly, ruleHandlerGlobal, ruleUnusedLocal, ruleUnusedFunction}
)

// names is what scripts can name.
type names struct {
	always  []string        // also in handlers
	loading map[string]bool // only while a script is loaded, with what a dotted name begins with
	options map[string]bool
	actions map[string]bool // options are actions, too
}

func (c *checker) namesOf() names {
	n := names{always: c.prog.Globals(), loading: map[string]bool{"setup": true}, options: map[string]bool{}, actions: map[string]bool{}}
	add := func(name string) {
		first, _, _ := strings.Cut(name, ".")
		n.loading[first], n.loading[name] = true, true
	}
	for _, m := range c.prog.Modules() {
		for _, s := range m.Setups {
			add(s.Name)
		}
		for _, a := range m.Actions {
			add(a.Name)
			n.actions[a.Name] = true
		}
		for _, o := range m.Options {
			add(o.Name)
			n.actions[o.Name], n.options[o.Name] = true, true
		}
	}
	actions, setups := c.prog.PluginNames()
	for _, a := range actions {
		add(a)
		n.actions[a] = true
	}
	for _, s := range setups {
		add(s)
	}
	return n
}

// setters says who sets a global: handlers, or the script while it is loaded.
type setters struct{ handlers, loading bool }

// checkGlobals checks the globals of one script; set are those that any script sets.
func (c *checker) checkGlobals(code *code, n names, set map[string]setters) {
	tested := map[string]bool{}
	for _, u := range code.globals {
		tested[u.name] = tested[u.name] || u.tested
	}
	for _, u := range code.globals {
		pos := runtime.Pos{File: code.source.name, Line: u.line}
		by := set[u.name]
		switch {
		case u.set:
			c.checkSet(code, u, pos)
		case by.handlers, tested[u.name], slices.Contains(n.always, u.name):
		case by.loading && u.in.request:
			c.report(ruleLoadOnly, pos, u.name, 0, "make it a local of the script: local "+u.name+" = …", "%s is nil here: globals that are set while the script is loaded are not there in handlers", u.name)
		case by.loading:
		case n.loading[u.name] && u.in.request && u.name == "setup":
			c.report(ruleLoadOnly, pos, u.name, 0, "", "setup is nil here: setups can only be used while the script is loaded")
		case n.loading[u.name] && u.in.request:
			c.report(ruleLoadOnly, pos, u.name, 0, "write action."+u.name, "%s is nil here: bare names of actions are there only while the script is loaded", u.name)
		case n.loading[u.name]:
		default:
			hint := ""
			if near := runtime.Nearest(u.name, append(slices.Clone(n.always), keysOf(n.loading)...)); near != "" {
				hint = "did you mean " + near + "?"
			}
			c.report(ruleUndefined, pos, u.name, 0, hint, "nothing defines %q", u.name)
		}
	}
}

func keysOf(m map[string]bool) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// checkSet checks a global that is set.
func (c *checker) checkSet(code *code, set *globalUse, pos runtime.Pos) {
	if !set.in.request || set.name == "actions" {
		return
	}
	for _, u := range code.globals {
		if !u.set && u.name == set.name && (u.in != set.in || u.tested) {
			return
		}
	}
	c.report(ruleHandlerGlobal, pos, set.name, 0, "write local "+set.name+", or REQ."+set.name+" for all handlers of the request",
		"the global %s lives as long as the request and this handler only", set.name)
}

// checkLocals looks for locals that nobody reads.
func (c *checker) checkLocals(code *code) {
	for _, l := range code.locals {
		if l.ignored || l.reads > 0 || l.name == "actions" {
			continue
		}
		pos := runtime.Pos{File: code.source.name, Line: l.line}
		switch {
		case l.value != nil:
			c.report(ruleUnusedFunction, pos, l.name, 0, "", "the function %s is never used", l.name)
		case l.writes > 0:
			c.report(ruleUnusedLocal, pos, l.name, 0, "", "the local %s is set and never read", l.name)
		default:
			c.report(ruleUnusedLocal, pos, l.name, 0, "", "the local %s is never read", l.name)
		}
	}
}
