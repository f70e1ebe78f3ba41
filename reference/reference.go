// Package reference describes all that scripts can use: as a page (docs/reference.md), entry
// by entry on a terminal (luaserve doc), and as annotations for editors (lighty.d.lua). Its
// sources are the tables of the modules, those of the runtime, and the comments of plugins;
// nothing is listed here a second time.
package reference

import (
	"fmt"
	"strings"

	"luaserve/runtime"
)

// Kind says what an [Entry] describes.
type Kind string

// The kinds of entries.
const (
	Module      Kind = "module"
	Plugin      Kind = "plugin"
	Setup       Kind = "setup"
	Action      Kind = "action"
	Option      Kind = "option"
	Variable    Kind = "variable"
	Operator    Kind = "operator"
	Combination Kind = "combination"
	Object      Kind = "object"
	Field       Kind = "field"
	Method      Kind = "method"
)

// Entry describes one thing that scripts can use, or several: a module has its setups,
// actions, options and objects as entries, an object its fields and methods.
type Entry struct {
	Kind    Kind
	Name    string
	Doc     string
	Params  []Param // of a call; an option has one, its value
	Example string
	Entries []*Entry

	owner    *Entry // the object of a field or method
	global   string // the variable that holds the only object of its kind
	types    string // of a field, or of what a method returns: "string|nil, integer"
	sign     string // of an operator in lighttpd2's own configuration language
	keyed    bool   // a variable with a key, an object that is read and written like a table
	counted  bool   // an object that # can be used on
	readOnly bool   // a field
}

// Param is one parameter of a call.
type Param struct {
	Name     string
	Type     string // "a string or a list of strings"; of a method as in Lua: "string|nil"
	Optional bool
	Doc      string
	Options  []runtime.TableOption // of the table that it takes

	lua     string // its type in annotations
	instead string // of [runtime.Param]
	spread  bool   // its entries may be given as arguments: docroot("/a", "/b")
}

// Reference is the description of everything, in the order of the page.
type Reference struct {
	modules []*Entry // the conditions, the modules, the plugins
	all     []*Entry // with all entries below them
}

// New describes what the modules offer, and the plugins that [ReadPlugin] has read.
func New(modules []*runtime.Module, plugins ...*Entry) *Reference {
	r := &Reference{modules: []*Entry{conditions()}}
	for _, m := range modules {
		r.modules = append(r.modules, describe(m))
	}
	r.modules = append(r.modules, plugins...)
	r.add(r.modules)
	return r
}

func (r *Reference) add(entries []*Entry) {
	for _, e := range entries {
		r.all = append(r.all, e)
		r.add(e.Entries)
	}
}

// conditions describes what conditions are made of.
func conditions() *Entry {
	m := &Entry{Kind: Module, Name: "conditions", Doc: "A condition compares a variable: request.path:prefix \"/x\". " +
		"all{…}, any{…} and none{…} combine conditions; a boolean variable alone stands for :is()."}
	for _, v := range runtime.Variables() {
		m.Entries = append(m.Entries, &Entry{Kind: Variable, Name: v.Name, Doc: v.Doc, keyed: v.Keyed})
	}
	for _, o := range runtime.Operators() {
		op := &Entry{Kind: Operator, Name: o.Name, Doc: o.Doc, sign: o.Sign}
		if !o.Unary {
			op.Params = []Param{{Name: "value", Type: "a string or a number", lua: "string|number"}}
		}
		m.Entries = append(m.Entries, op)
	}
	for _, c := range runtime.Combinations() {
		m.Entries = append(m.Entries, &Entry{Kind: Combination, Name: c.Name, Doc: c.Doc})
	}
	return m
}

// describe makes the entry of a module.
func describe(m *runtime.Module) *Entry {
	e := &Entry{Kind: Module, Name: m.Name, Doc: m.Doc}
	add := func(kind Kind, name, doc, noEffect, example string, params []Param) {
		nameTables(kind, name, params)
		if noEffect != "" { // the log says the same when the name is used
			doc += " Accepted without an effect: " + noEffect + "."
		}
		e.Entries = append(e.Entries, &Entry{Kind: kind, Name: name, Doc: doc, Params: params, Example: example})
	}
	for _, s := range m.Setups {
		add(Setup, s.Name, s.Doc, s.NoEffect, s.Example, describeParams(s.Params))
	}
	for _, a := range m.Actions {
		add(Action, a.Name, a.Doc, a.NoEffect, a.Example, describeParams(a.Params))
	}
	for _, o := range m.Options {
		add(Option, o.Name, o.Doc, o.NoEffect, o.Example, describeParams([]runtime.Param{{Name: "value", Type: o.Type}}))
	}
	for _, o := range m.Objects {
		e.Entries = append(e.Entries, describeObject(o))
	}
	return e
}

func describeParams(params []runtime.Param) []Param {
	var out []Param
	for _, p := range params {
		out = append(out, Param{Name: p.Name, Type: p.Type.String(), Optional: p.Optional, Doc: p.Doc, Options: p.Options, instead: p.Instead,
			lua: luaTypes[p.Type], spread: len(params) == 1 && p.TakesWhole()})
	}
	return out
}

// nameTables has parameters that take tables of options be of their classes.
func nameTables(kind Kind, call string, params []Param) {
	for i := range params {
		p := &params[i]
		if len(p.Options) == 0 {
			continue
		}
		class := tableClass(kind, call)
		p.lua = class
		if p.instead != "" {
			p.lua = tableType(p.instead, class) + "|" + class
		}
	}
}

func describeObject(o *runtime.Object) *Entry {
	e := &Entry{Kind: Object, Name: o.Name, Doc: o.Doc, global: o.Global, keyed: o.Index != nil, counted: o.Len != nil}
	for _, f := range o.Fields {
		e.Entries = append(e.Entries, &Entry{Kind: Field, Name: f.Name, Doc: f.Doc, owner: e, types: f.Type, readOnly: f.Set == nil})
	}
	for _, m := range o.Methods {
		e.Entries = append(e.Entries, &Entry{Kind: Method, Name: m.Name, Doc: m.Doc, owner: e, types: m.Returns, Params: methodParams(m.Args)})
	}
	return e
}

// methodParams reads what a method takes: "name: string, [n: integer]".
func methodParams(args string) []Param {
	var out []Param
	for arg := range strings.SplitSeq(args, ", ") {
		if arg == "" {
			continue
		}
		inner := strings.TrimSuffix(strings.TrimPrefix(arg, "["), "]")
		name, kind, _ := strings.Cut(inner, ": ")
		out = append(out, Param{Name: name, Type: kind, Optional: inner != arg, lua: annotationType(kind)})
	}
	return out
}

// Title is the entry as a script uses it, with its kind: "action header.add(name, value)".
func (e *Entry) Title() string {
	if e.Kind == Option {
		return fmt.Sprintf("option %s: %s", e.Name, e.Params[0].Type)
	}
	return string(e.Kind) + " " + e.signature()
}

// signature is the qualified name, with the parameters of a call.
func (e *Entry) signature() string {
	switch e.Kind {
	case Setup, Action, Method, Operator:
		params := make([]runtime.Param, len(e.Params))
		for i, p := range e.Params {
			params[i] = runtime.Param{Name: p.Name, Optional: p.Optional}
		}
		return runtime.Usage(e.qualified(), params)
	}
	return e.qualified()
}

// qualified is the name of an entry among all: vrequest:stat, request.header["name"].
func (e *Entry) qualified() string {
	switch {
	case e.Kind == Operator:
		return ":" + e.Name
	case e.Kind == Variable && e.keyed:
		return e.Name + `["name"]`
	case e.Kind == Method && e.owner.global == "":
		return e.owner.Name + ":" + e.Name
	case e.owner != nil:
		return e.owner.Name + "." + e.Name
	}
	return e.Name
}

// Summary is the first sentence of the description.
func (e *Entry) Summary() string {
	first, _, cut := strings.Cut(e.Doc, ". ")
	if cut {
		first += "."
	}
	return first
}
