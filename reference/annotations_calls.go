package reference

import (
	"slices"
	"strings"
)

// libraries are the names of Lua's own libraries: below them a script must write action. or
// setup. before the name, as in action.io.throttle(100000).
var libraries = []string{"coroutine", "debug", "io", "math", "os", "package", "string", "table"}

// callTree holds the names of setups or actions by their parts: header, below it add.
type callTree struct {
	path   string // action.header
	entry  *Entry // what a call of path itself makes, nil when there is no such name
	names  []string
	inside map[string]*callTree
}

func newCallTree(path string) *callTree { return &callTree{path: path, inside: map[string]*callTree{}} }

func (t *callTree) add(e *Entry) {
	at := t
	for part := range strings.SplitSeq(e.Name, ".") {
		if at.inside[part] == nil {
			at.inside[part] = newCallTree(at.path + "." + part)
			at.names = append(at.names, part)
		}
		at = at.inside[part]
	}
	at.entry = e
}

// calls writes the globals action and setup with all below them, and the bare names.
func (a *annotations) calls(r *Reference) {
	actions, setups := newCallTree("action"), newCallTree("setup")
	for _, e := range r.all {
		if e.Kind == Action || e.Kind == Option {
			actions.add(e)
		}
		if e.Kind == Setup || e.Kind == Option {
			setups.add(e)
		}
	}
	a.printf("--- Actions make up the pipeline.\n---@class lighty.action\naction = {}\n\n")
	a.tree(actions, "lighty.Action")
	a.printf("--- Setups are called while the script is loaded.\n---@class lighty.setup\nsetup = {}\n\n")
	a.tree(setups)
	a.bareNames(actions, setups)
}

// tree writes what is below t.
func (a *annotations) tree(t *callTree, returns ...string) {
	for _, name := range t.names {
		sub := t.inside[name]
		switch {
		case len(sub.names) == 0:
			a.doc(sub.entry.Doc)
			a.example(sub.entry.Example)
			a.call(sub.path, sub.entry.Params, returns...)
			continue
		case sub.entry != nil:
			a.doc(sub.entry.Doc)
			a.example(sub.entry.Example)
			a.printf("---@class lighty.%s\n---@overload fun(%s)%s\n", sub.path, overload(sub.entry.Params), returned(returns))
		default:
			a.printf("---@class lighty.%s\n", sub.path)
		}
		a.printf("%s = {}\n\n", sub.path)
		a.tree(sub, returns...)
	}
}

// overload prints parameters as a type does: "targets: table, ...: any".
func overload(params []Param) string {
	var out []string
	for _, p := range params {
		optional := ""
		if p.Optional {
			optional = "?"
		}
		out = append(out, identifier(p.Name)+optional+": "+p.lua)
	}
	if len(params) == 1 && params[0].spread {
		out = append(out, "...: any")
	}
	return strings.Join(out, ", ")
}

func returned(types []string) string {
	if len(types) == 0 {
		return ""
	}
	return ": " + strings.Join(types, ", ")
}

// bareNames writes the names that are there without action. and setup. before them.
func (a *annotations) bareNames(actions, setups *callTree) {
	names := slices.Concat(actions.names, setups.names)
	slices.Sort(names)
	a.printf("-- the same names without action and setup before them\n\n")
	for _, name := range slices.Compact(names) {
		inActions, inSetups := actions.inside[name], setups.inside[name]
		switch {
		case slices.Contains(libraries, name):
		case inSetups == nil || sameCalls(inActions, inSetups):
			a.printf("%s = %s\n", name, inActions.path)
		case inActions == nil:
			a.printf("%s = %s\n", name, inSetups.path)
		default:
			a.printf("---@type %s|%s\n%s = nil\n", inActions.class(), inSetups.class(), name)
		}
	}
}

// class is the type of what stands at path in a tree.
func (t *callTree) class() string {
	if len(t.names) == 0 {
		return "fun(" + overload(t.entry.Params) + ")"
	}
	return "lighty." + t.path
}

// sameCalls reports whether b has nothing that a has not: options are in both.
func sameCalls(a, b *callTree) bool {
	if a == nil || b.entry != nil && (a.entry == nil || b.entry != a.entry) {
		return false
	}
	for _, name := range b.names {
		if !sameCalls(a.inside[name], b.inside[name]) {
			return false
		}
	}
	return true
}
