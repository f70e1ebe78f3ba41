package repl

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"luaserve/explain"
	"luaserve/runtime"
)

// form is one of the things that a line can be: the script that it becomes, behind that of
// the site, and how the result is told.
type form struct {
	script string // %s is the line
	tell   func(s *Session, step *runtime.Step)
}

// marker is the entry of the environment that a pattern is put into.
const marker = "LUASERVE_REPL"

var (
	asCondition = form{"actions = { actions, when((%s), env.remove '" + marker + "') }", (*Session).tellCondition}
	asPattern   = form{"actions = { actions, env.set('" + marker + "', (%s)) }", (*Session).tellPattern}
	asAction    = form{"actions = { actions, { (%s) } }", (*Session).tellAction}
	asValue     = form{`actions = { actions, function(vr) (function(...)
  local parts = {}
  for i = 1, select("#", ...) do
    local v = select(i, ...)
    parts[i] = type(v) == "string" and string.format("%%q", v) or tostring(v)
  end
  lighty.print(table.concat(parts, "\t"))
end)(%s) end }`, (*Session).tellLua}
	asStatement = form{"actions = { actions, function(vr) %s\nend }", (*Session).tellLua}
)

// evaluate tries what a line can be, the narrowest first.
func (s *Session) evaluate(ctx context.Context, line string) error {
	forms := []form{asCondition, asPattern, asAction, asValue, asStatement}
	if strings.Contains(line, "vr") && !strings.Contains(line, "%{") {
		forms = []form{asValue, asStatement, asAction}
	}
	var errs []error
	for _, f := range forms {
		p, err := s.load(fmt.Sprintf(f.script, line))
		if err != nil {
			if strings.Contains(err.Error(), "unknown ") {
				return s.mostTelling([]error{err}) // a name that is wrong in each form
			}
			errs = append(errs, err)
			continue
		}
		defer p.Close()
		return s.run(ctx, p, f)
	}
	return s.mostTelling(errs)
}

// mostTelling chooses among the errors of all forms: what is wrong with an argument says more
// than that the line is no condition, and that more than that it is no Lua.
func (s *Session) mostTelling(errs []error) error {
	if _, err := s.load(""); err != nil {
		return err // it is the site that is wrong
	}
	for _, err := range errs {
		le, ok := errors.AsType[*runtime.LoadError](err)
		if ok && !strings.HasPrefix(le.Msg, "syntax error") && !strings.Contains(le.Msg, "expected a") {
			return errors.New(le.Msg)
		}
	}
	last := errs[len(errs)-1]
	if le, ok := errors.AsType[*runtime.LoadError](last); ok {
		return errors.New(le.Msg)
	}
	return last
}

// run runs the request and tells what the last action, which is what was typed, did.
func (s *Session) run(ctx context.Context, p *runtime.Program, f form) error {
	r, err := explain.Run(ctx, p, s.request, s.options)
	if err != nil {
		return err
	}
	typed := p.Pipeline().Children()
	var step *runtime.Step
	explain.EachStep(r.Steps, func(st *runtime.Step) {
		if len(typed) > 0 && st.Node() == typed[len(typed)-1].Node {
			step = st
		}
	})
	if step == nil {
		if r.Decided != nil && r.Decided.Failed != "" {
			return fmt.Errorf("the site fails before: %s: %s", runtime.Pos{File: r.Decided.File, Line: r.Decided.Line}, r.Decided.Failed)
		}
		return errors.New("the request does not get there")
	}
	f.tell(s, step)
	var failed error
	explain.EachStep([]*runtime.Step{step}, func(st *runtime.Step) {
		if st.Error != "" {
			failed = errors.New(st.Error)
		}
	})
	return failed
}

func (s *Session) tellCondition(step *runtime.Step) {
	var tell func(tests []*runtime.Test, indent string)
	tell = func(tests []*runtime.Test, indent string) {
		for _, t := range tests {
			answer := "no"
			if t.Holds {
				answer = "yes"
			}
			if len(t.Parts) == 0 {
				fmt.Fprintf(s.out, "%s%s saw %q: %s\n", indent, t.Condition, t.Value, answer)
			} else {
				fmt.Fprintf(s.out, "%s%s: %s\n", indent, t.Condition, answer)
			}
			tell(t.Parts, indent+"  ")
		}
	}
	tell(step.Tests, "")
}

func (s *Session) tellPattern(step *runtime.Step) {
	value := "" // an empty one is no change
	for _, c := range step.Changes {
		if strings.Contains(c.What, marker) && c.After != nil {
			value = *c.After
		}
	}
	fmt.Fprintf(s.out, "%q\n", value)
}

func (s *Session) tellAction(step *runtime.Step) {
	r := &explain.Result{Steps: []*runtime.Step{step}}
	if err := r.Actions(s.out, s.Style); err != nil {
		fmt.Fprintln(s.out, err)
	}
}

func (s *Session) tellLua(step *runtime.Step) {
	for _, line := range step.Log {
		fmt.Fprintln(s.out, strings.TrimSuffix(line, " source=lua"))
	}
	for _, c := range step.Changes {
		switch {
		case c.After == nil:
			fmt.Fprintf(s.out, "%s removed\n", c.What)
		default:
			fmt.Fprintf(s.out, "%s = %q\n", c.What, *c.After)
		}
	}
}
