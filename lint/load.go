package lint

import (
	"luaserve/runtime"
)

// What loading the script has told already.

var (
	// LoadError is the rule of scripts that do not load at all, for those who report it; Check
	// is given a program and has no use for it.
	LoadError = &Rule{Code: "L000", Name: "load-error", Severity: Error,
		Summary: "The script cannot be loaded.",
		Why:     "Its syntax is wrong, or running it has failed: a name that does not exist, an argument of the wrong kind. The message says what was expected.",
		Silent:  "",
		Wrong:   `actions = redirct "/x"`,
		Right:   `actions = redirect "/x"`}
	ruleUnusedCondition = &Rule{Code: "L080", Name: "unused-condition", Severity: Warning,
		Summary: "A condition is made and not used.",
		Why:     `"and" and "or" do not combine conditions: a and b is b, so that a rule gets weaker without a word. all{…}, any{…} and none{…} combine.`,
		Silent:  "",
		Wrong:   `actions = when(request.path:prefix "/a" and request.method:eq "GET", { respond "a" })`,
		Right:   `actions = when(all { request.path:prefix "/a", request.method:eq "GET" }, { respond "a" })`}
	ruleOneState = &Rule{Code: "L081", Name: "one-state", Severity: Info,
		Summary: "A handler writes to a variable of the script, so that there is one Lua state.",
		Why: "A variable that handlers count up must be the same for all requests; so Lua runs for one request at a time. " +
			"Without such a variable there is a state a core. setup.lua.states(n) overrules, and each state then has a variable of its own.",
		Silent: "The script sets the number of states.",
		Wrong: `local n = 0
actions = function(vr)
  n = n + 1
  if vr:handle_direct() then vr.out:add("n" .. n) end
end`,
		Right: `local n = 0
actions = function(vr)
  if vr:handle_direct() then vr.out:add("n" .. n) end
end`}
	ruleNoEffect = &Rule{Code: "L082", Name: "no-effect", Severity: Info,
		Summary: "A name is accepted and does nothing here.",
		Why:     "It is there so that configurations of lighttpd2 load. What it was for is done in another way, or is not needed; luaserve doc NAME says which.",
		Silent:  "A plugin or a handler uses it.",
		Wrong: `setup.workers(2)
actions = respond "hello"`,
		Right: `actions = respond "hello"`}

	loadRules = []*Rule{LoadError, ruleUnusedCondition, ruleOneState, ruleNoEffect}
)

// checkLoad reports what is known from loading the script.
func (c *checker) checkLoad() {
	for _, warning := range c.prog.Warnings() {
		switch warning.Kind {
		case runtime.UnusedCondition:
			c.report(ruleUnusedCondition, warning.Pos, "and", 0, "", "%s", warning.Msg)
		case runtime.IgnoredKey:
			c.report(ruleIgnoredKey, warning.Pos, "{", 1, "write a list of pairs: {{ {\"a\", \"b\"}, action }}", "%s", warning.Msg)
		}
	}
	if _, forced := c.prog.States(); forced != nil {
		c.report(ruleOneState, *forced, "", 0, "", "a handler writes to a variable of the script: requests run Lua one at a time")
	}
	none := map[string]string{}
	for _, m := range c.prog.Modules() {
		for _, s := range m.Setups {
			none["setup "+s.Name] = s.NoEffect
		}
		for _, a := range m.Actions {
			none["action "+a.Name] = a.NoEffect
		}
		for _, o := range m.Options {
			none["setup "+o.Name], none["action "+o.Name] = o.NoEffect, o.NoEffect
		}
	}
	say := func(kind, name string, pos runtime.Pos) {
		if why := none[kind+" "+name]; why != "" {
			c.report(ruleNoEffect, pos, name, 0, "", "%s has no effect here: %s", name, why)
		}
	}
	for _, s := range c.prog.Setups() {
		say("setup", s.Name, s.Pos)
	}
	for _, t := range c.all {
		say("action", t.Node.Name, t.Node.Pos)
	}
}
