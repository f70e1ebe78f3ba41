package runtime

import (
	"net/netip"
	"slices"
	"strconv"
	"sync"

	lua "github.com/yuin/gopher-lua"
)

// This file is the read-only view of a program for tools: those that check a script, draw
// its pipeline or explain what a request met.

// Container is an action that runs other actions: when, map, a balancer. Actions that do
// so implement it, so that tools can show what is inside.
type Container interface {
	Action
	// Children returns the actions inside, in the order of the script.
	Children() []Child
}

// Child is one of the actions that an action runs.
type Child struct {
	// Label says when it runs: "then" and "else" of a when, "hit" and "miss", the key of a
	// map, "1", "2", … in a list, "" for the only one.
	Label  string
	Action Action
}

// Containing is an action that calls run and whose [Container] is children.
func Containing(run ActionFunc, children ...Child) Action { return &container{run, children} }

type container struct {
	ActionFunc
	children []Child
}

func (c *container) Children() []Child { return c.children }

// Children returns the actions of the list.
func (l List) Children() []Child {
	out := make([]Child, len(l))
	for i, a := range l {
		out[i] = Child{strconv.Itoa(i + 1), a}
	}
	return out
}

// Children returns the branches that there are.
func (w *When) Children() []Child {
	var out []Child
	if w.Then != nil {
		out = append(out, Child{"then", w.Then})
	}
	if w.Else != nil {
		out = append(out, Child{"else", w.Else})
	}
	return out
}

// Children returns the actions of the list.
func (l *ruleList) Children() []Child { return l.actions.Children() }

// Children returns the branches of the first when; the next one is its else.
func (c *ruleChain) Children() []Child { return c.first().Children() }

func (c *ruleChain) first() *When { return c.whens[0].Act.(*When) }

// Tree is an action of a pipeline at the place where the script put it, with what is below
// it. The zero Tree is no action.
//
//	when(request.path:prefix "/a", { header.add("X", "1"), respond "a" })
//
// is the tree
//
//	when            Condition request.path:prefix("/a")
//	└ then: list
//	  ├ 1: header.add    Args name "X", value "1"
//	  └ 2: respond       Args status "a"
//
// A chain of else is a when in the else of a when. An action of a plugin (core.wsgi) has
// what the plugin made of it as its only child, and so has a lua.handler whose file was
// loaded. Lua functions are leaves with the name
// "function" and the place of their first line; so are backends. An action that a script
// uses at several places is in the tree at each of them, with the same Node: trees of whole
// pipelines may be much larger than the memory that they take, so go down step by step.
type Tree struct {
	// Label says when the action above runs this one, see [Child].
	Label string
	// Node has the name and the place, and is the identity: errors and traces name the same one.
	Node *Node
	prog *Program
}

// Pipeline returns the program's outermost action.
func (p *Program) Pipeline() Tree { return Tree{Node: p.root, prog: p} }

// Children returns the actions that this one may run, in the order of the script.
func (t Tree) Children() []Tree {
	if t.Node == nil {
		return nil
	}
	inside := inside(t.Node.Act)
	if h, ok := t.Node.Act.(*handlerFile); ok {
		if root := h.loaded(); root != nil {
			inside = []Child{{Action: root}}
		}
	}
	out := make([]Tree, len(inside))
	for i, c := range inside {
		out[i] = Tree{c.Label, nodeOf(c.Action), t.prog}
	}
	return out
}

func inside(a Action) []Child {
	switch act := a.(type) {
	case *Node:
		if act.Name == "list" && act.Pos.File == "" { // list { a, b } is a list, not a list of a list
			return inside(act.Act)
		}
		return []Child{{Action: act}}
	case Container:
		return act.Children()
	}
	return nil
}

// nodeOf returns the node that an action is. What Go code put together has none.
func nodeOf(a Action) *Node {
	switch a := a.(type) {
	case *Node:
		return a
	case List, *ruleList:
		return listNode(a)
	}
	return &Node{Name: "action", Act: a}
}

// HandlerFile returns the file of lua.handler, loads it if that has not happened yet, and
// says why that is not possible. Its actions are the children. "" is any other action.
func (t Tree) HandlerFile() (file string, err error) {
	if t.Node == nil {
		return "", nil
	}
	h, ok := t.Node.Act.(*handlerFile)
	if !ok {
		return "", nil
	}
	_, err = h.current()
	return h.prog.resolve(h.name, h.from), err
}

// Condition returns what a when tests, nil for any other action.
func (t Tree) Condition() *Condition {
	if t.Node == nil {
		return nil
	}
	switch act := t.Node.Act.(type) {
	case *When:
		return act.Cond
	case *ruleChain:
		return act.first().Cond
	}
	return nil
}

// Args returns the arguments of the call that made the action, those left out not among
// them. It knows them of programs that were loaded with [Config.Inspect] only, and of no
// plain tables and functions.
func (t Tree) Args() []Argument {
	if t.prog == nil || t.prog.inspection == nil {
		return nil
	}
	return t.prog.inspection.argsOf(t.Node)
}

// Argument is one argument of a call.
type Argument struct {
	Name  string // of the parameter; "1", "2", … for actions of plugins, "value" for options
	Value Value
}

// SetupCall is the call of a setup while the script was loaded.
type SetupCall struct {
	Name string
	Pos  Pos
	Args []Argument
}

// Setups returns the setups that the script called, in order. It knows those of programs
// that were loaded with [Config.Inspect] only.
func (p *Program) Setups() []SetupCall {
	if p.inspection == nil {
		return nil
	}
	return p.inspection.setups
}

// Modules returns what the program was loaded with.
func (p *Program) Modules() []*Module { return p.registry.modules }

// PluginNames returns the names of the actions and setups that plugins of the script have
// added, for programs that were loaded with [Config.Inspect].
func (p *Program) PluginNames() (actions, setups []string) {
	if p.inspection == nil {
		return nil, nil
	}
	return p.inspection.pluginActions, p.inspection.pluginSetups
}

// Globals returns the names that handlers find without a definition of their own: those of
// Lua, of luaserve, and what the script has put into _G. It is for programs that were loaded
// with [Config.Inspect].
func (p *Program) Globals() []string {
	if p.inspection == nil {
		return nil
	}
	return p.inspection.globals
}

func (st *state) baseNames() []string {
	names := []string{reqGlobal}
	st.base.ForEach(func(k, _ lua.LValue) {
		if name, ok := k.(lua.LString); ok {
			names = append(names, string(name))
		}
	})
	slices.Sort(names)
	return names
}

// PosOf returns the place where a condition was made. It knows those of programs that were
// loaded with [Config.Inspect] only, and none of a variable that stands alone
// (physical.is_file).
func (p *Program) PosOf(c *Condition) Pos {
	if p.inspection == nil {
		return Pos{}
	}
	p.inspection.mu.Lock()
	defer p.inspection.mu.Unlock()
	return p.inspection.conditions[c]
}

// inspection is what a load remembers for tools. Handler files are loaded while requests
// run, hence the lock.
type inspection struct {
	mu                          sync.Mutex
	calls                       map[*Node][]Argument
	conditions                  map[*Condition]Pos
	setups                      []SetupCall
	pluginActions, pluginSetups []string
	globals                     []string
}

func newInspection() *inspection {
	return &inspection{calls: map[*Node][]Argument{}, conditions: map[*Condition]Pos{}}
}

func (i *inspection) argsOf(n *Node) []Argument {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.calls[n]
}

// noteAction remembers the arguments of a call that made an action while a script was loaded.
func (b *Builder) noteAction(n *Node, args []Argument) {
	i := b.prog.inspection
	i.mu.Lock()
	defer i.mu.Unlock()
	i.calls[n] = args
}

// inspecting reports whether actions are to be remembered: of a large script that takes
// as much memory as the script itself.
func (b *Builder) inspecting() bool { return b.prog.inspection != nil && b.load != nil }

// noteSetup remembers a call of a setup.
func (b *Builder) noteSetup(name string, args []Argument) {
	if i := b.prog.inspection; i != nil {
		i.setups = append(i.setups, SetupCall{name, b.pos, args})
	}
}

// named pairs the arguments with the names of their parameters.
func (a Args) named() []Argument {
	var out []Argument
	for i, v := range a.vals {
		if v.kind != KindNone {
			out = append(out, Argument{a.params[i].Name, v})
		}
	}
	return out
}

// optionArgument is the value of an option, nothing for its default.
func optionArgument(b *Builder, given []Value) []Argument {
	if len(given) == 0 {
		return nil
	}
	return []Argument{{"value", b.listValue(given).unwrapped()}}
}

// numbered names arguments of which nothing is known.
func numbered(given []Value) []Argument {
	out := make([]Argument, len(given))
	for i, v := range given {
		out[i] = Argument{strconv.Itoa(i + 1), v}
	}
	return out
}

// Variable returns the condition variable that is tested, with its key ("Host" of
// request.header["Host"]); both are "" for all{…}, any{…} and none{…}.
func (c *Condition) Variable() (name, key string) {
	if c.lvalue == nil {
		return "", ""
	}
	return c.lvalue.def.name, c.lvalue.key
}

// Operator returns the name of the comparison, "prefix", or that of the combination, "all".
func (c *Condition) Operator() string { return c.op.name }

// Negated reports whether the operator is the opposite of another one: ne, notprefix, none.
func (c *Condition) Negated() bool { return c.op.negate }

// Operand returns the value that the variable is compared with, as the script wrote it.
func (c *Condition) Operand() string { return c.arg }

// Network returns the operand of ip and notip.
func (c *Condition) Network() (netip.Prefix, bool) {
	p, ok := c.parsed.(netip.Prefix)
	return p, ok
}

// Parts returns the conditions of all{…}, any{…} and none{…}, nil for a comparison.
func (c *Condition) Parts() []*Condition { return c.parts() }
