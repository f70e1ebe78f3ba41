package runtime

import (
	"fmt"
	"slices"
	"strings"
)

// Module is one documented set of setups, actions, options and Lua objects. Argument
// checks, error messages, the reference, the editor annotations and traces are all made
// from this one value. A Module is immutable once it was given to [Load].
type Module struct {
	Name    string // lighttpd2's name without "mod_": "expire"
	Doc     string
	Setups  []Setup
	Actions []ActionDef
	Options []Option
	Objects []*Object
	// Untrusted names the actions, setups, options and global objects of the module that an
	// untrusted script may use without being allowed to (see [Sandbox]): those that do no
	// more than write the response to the request.
	Untrusted []string
	// Trusted names those that only a trusted script may use: they run commands.
	Trusted []string
}

// Setup is a call that is possible at load time only: setup.listen "…".
type Setup struct {
	Name     string
	Doc      string // one sentence, then what else a reader needs
	Example  string
	Params   []Param
	NoEffect string // why it is accepted and does nothing here; said once a program, in the log
	Run      func(b *Builder, args Args) error
}

// ActionDef is the constructor of an action: a name that scripts call and what it builds.
type ActionDef struct {
	Name     string
	Doc      string
	Example  string
	Params   []Param
	NoEffect string // see [Setup]
	Backend  Backend
	New      func(b *Builder, args Args) (Action, error)
}

// Backend says what an action wants of another program. A trace can leave that out.
type Backend uint8

// What actions want of other programs.
const (
	NoBackend Backend = iota
	Answers           // it is to answer the request
	Decides           // it is to say how the request goes on
)

// Option is a value that a setup sets for all requests and an action for the rest of one.
type Option struct {
	Name     string
	Doc      string
	Example  string
	NoEffect string // see [Setup]
	Type     ParamType
	Default  any // of the Go type that Parse returns
	// Parse turns a checked value into what Run-time code reads; nil keeps the Go value
	// of the type: string, int64, bool.
	Parse func(b *Builder, v Value) (any, error)
}

// ParamType says what a parameter takes.
type ParamType uint8

// The parameter types.
const (
	TString ParamType = iota
	TNumber
	TBool
	TPattern   // a string with %{…}, %1 and $1 in it
	TAction    // an action, a Lua function, or a table of actions
	TCondition // a condition, or a boolean lvalue
	TStrings   // a string or a list of strings
	TPairs     // a key-value list
	TActions   // a list of actions
	TAny       // anything; the constructor looks for itself
	TExact     // anything, as it was written: {{"a", "b"}} is not the same as {"a", "b"}
	TAddress   // "unix:/path" or "host:port"
)

var paramTypeNames = map[ParamType]string{
	TString: "a string", TNumber: "a number", TBool: "a boolean", TPattern: "a string (pattern)",
	TAction: "an action", TCondition: "a condition", TStrings: "a string or a list of strings",
	TPairs: "a key-value list", TActions: "a list of actions", TAny: "a value", TExact: "a value", TAddress: "an address",
}

// String names the type the way error messages do.
func (t ParamType) String() string { return paramTypeNames[t] }

// Param is one parameter of a setup or an action.
type Param struct {
	Name     string
	Type     ParamType
	Optional bool
	Doc      string
	Options  []TableOption // of the table that it takes
	Instead  string        // what else than that table it takes, as [TableOption] has types
}

// TableOption is a named value in a table that a parameter takes: read_timeout in fastcgi { … }.
type TableOption struct {
	Name     string
	Type     string // as [Field] has it, and "actions", lists ("string[]") and "table<string, string>"
	Doc      string
	Required bool
	Default  string        // as a script writes it; "" when there is none
	Options  []TableOption // of the table that it takes
}

// Args are the checked arguments of one call, by the position of their parameter.
type Args struct {
	name   string
	params []Param
	vals   []Value
	pats   []*Pattern
}

// Has reports whether the i-th argument was given.
func (a Args) Has(i int) bool { return i < len(a.vals) && a.vals[i].kind != KindNone }

// Value returns the i-th argument as it is.
func (a Args) Value(i int) Value {
	if i < len(a.vals) {
		return a.vals[i]
	}
	return Value{}
}

// Str, Int, Float and Bool return the i-th argument; its type was checked before.
func (a Args) Str(i int) string    { return a.Value(i).str }
func (a Args) Int(i int) int64     { return int64(a.Value(i).num) }
func (a Args) Float(i int) float64 { return a.Value(i).num }
func (a Args) Bool(i int) bool     { return a.Value(i).num != 0 }

// Pattern returns the parsed pattern of a TPattern argument.
func (a Args) Pattern(i int) *Pattern {
	if a.pats == nil { // none was given
		return nil
	}
	return a.pats[i]
}

// Strings returns the strings of a TStrings argument.
func (a Args) Strings(i int) []string {
	s, _ := a.Value(i).Strings()
	return s
}

// Pairs returns the entries of a TPairs argument.
func (a Args) Pairs(i int) []Pair {
	p, _ := a.Value(i).Pairs()
	return p
}

// Action returns the action of a TAction argument, nil when it was not given.
func (a Args) Action(i int) Action {
	if n, ok := a.Value(i).Action(); ok {
		return n
	}
	return nil
}

// Condition returns the condition of a TCondition argument.
func (a Args) Condition(i int) *Condition { return a.Value(i).cond }

// checkArgs brings the arguments of a call into the order of the parameters. Arguments
// form one list; lists of one element are unwrapped, as lighttpd2 does.
func (b *Builder) checkArgs(name string, params []Param, given []Value) (Args, error) {
	args := Args{name: name, params: params}
	if len(params) == 1 && params[0].TakesWhole() {
		if len(given) == 0 && params[0].Optional {
			return args, nil
		}
		args.vals = []Value{params[0].whole(b, given)}
	} else {
		args.vals = spread(given, params)
	}
	if len(args.vals) > len(params) {
		return args, fmt.Errorf("expected %s, got %d arguments", Usage(name, params), len(args.vals))
	}
	for i := range params {
		p := &params[i]
		if !args.Has(i) {
			if !p.Optional {
				return args, fmt.Errorf("%s is missing; expected %s", p.Name, Usage(name, params))
			}
			continue
		}
		if err := p.check(&args, i); err != nil {
			return args, err
		}
	}
	return args, nil
}

// TakesWhole reports whether a parameter of this type, if it is the only one, is the whole list of arguments.
func (p Param) TakesWhole() bool {
	switch p.Type {
	case TStrings, TPairs, TActions, TAny, TExact, TAction:
		return true
	}
	return false
}

// whole makes one value of the argument list. What is exact loses the brackets of the call
// and nothing else.
func (p Param) whole(b *Builder, given []Value) Value {
	if p.Type != TExact {
		return b.listValue(given).unwrapped()
	}
	if len(given) == 1 {
		return given[0]
	}
	return ListValue(given...)
}

// spread returns the arguments of a call with several parameters: ("K","V"),
// ({"K","V"}), ({{"K","V"}}) and ({K="V"}) are the same. A table with names is one argument
// where the first parameter takes such a table.
func spread(given []Value, params []Param) []Value {
	for len(given) == 1 && given[0].kind == KindList && len(params) > 0 && !(given[0].hash && params[0].Type == TPairs) {
		given = given[0].items()
	}
	return given
}

func (p *Param) check(args *Args, i int) error {
	v := args.vals[i]
	if (p.Type == TString || p.Type == TNumber || p.Type == TBool || p.Type == TPattern || p.Type == TAddress) && v.kind == KindList {
		v = v.unwrapped()
		args.vals[i] = v
	}
	ok := true
	switch p.Type {
	case TString, TAddress:
		ok = v.kind == KindString
	case TNumber:
		ok = v.kind == KindNumber
	case TBool:
		ok = v.kind == KindBool
	case TPattern:
		if ok = v.kind == KindString; ok {
			pat, err := ParsePattern(v.str)
			if err != nil {
				return fmt.Errorf("%s: %w", p.Name, err)
			}
			if args.pats == nil {
				args.pats = make([]*Pattern, len(args.params))
			}
			args.pats[i] = pat
		}
	case TAction:
		ok = v.isAction()
	case TCondition:
		ok = v.kind == KindCondition
	case TStrings:
		_, ok = v.Strings()
	case TPairs:
		_, ok = v.Pairs()
	case TActions:
		if bad := firstNonAction(v); bad != "" {
			return fmt.Errorf("%s", bad)
		}
	}
	if !ok && p.Type == TCondition && v.kind == KindBool {
		return fmt.Errorf(`%s: expected a condition, got a boolean: compare with request.path:eq "/x", combine with all{…}, any{…} and none{…}`, p.Name)
	}
	if !ok {
		return fmt.Errorf("%s: expected %s, got %s", p.Name, p.Type, v.kind)
	}
	return nil
}

func firstNonAction(v Value) string {
	if v.isAction() {
		return ""
	}
	if v.kind != KindList {
		return fmt.Sprintf("expected a list of actions, got %s", v.kind)
	}
	for i, item := range v.list {
		if !item.isAction() {
			return fmt.Sprintf("entry %d: expected an action, got %s", i+1, item.kind)
		}
	}
	return ""
}

// Usage prints a call the way error messages and the reference show it: header.add(name, value).
func Usage(name string, params []Param) string {
	parts := make([]string, len(params))
	for i, p := range params {
		parts[i] = p.Name
		if p.Optional {
			parts[i] = "[" + p.Name + "]"
		}
	}
	return name + "(" + strings.Join(parts, ", ") + ")"
}

// registry is the flat view of all modules that a program was loaded with.
type registry struct {
	modules []*Module
	setups  map[string]*Setup
	actions map[string]*ActionDef
	options map[string]int          // index into optionDefs
	known   map[string]bool         // every name and what one begins with: header.add, header
	upTo    map[string]SandboxLevel // up to which level a name may be used, if not SandboxHandler
	defs    []*Option
	objects []*Object
	// the two objects that the runtime itself hands to Lua
	vrObject, queueObject *Object
}

// names of the objects that the runtime itself hands to Lua
const (
	objectVRequest   = "vrequest"
	objectChunkQueue = "chunkqueue"
)

func newRegistry(modules []*Module) (*registry, error) {
	r := &registry{modules: modules, setups: map[string]*Setup{}, actions: map[string]*ActionDef{}, options: map[string]int{}, known: map[string]bool{}, upTo: map[string]SandboxLevel{}}
	for _, m := range modules {
		for i := range m.Setups {
			if _, dup := r.setups[m.Setups[i].Name]; dup {
				return nil, fmt.Errorf("setup %q is defined twice", m.Setups[i].Name)
			}
			r.setups[m.Setups[i].Name] = &m.Setups[i]
		}
		for i := range m.Actions {
			if _, dup := r.actions[m.Actions[i].Name]; dup {
				return nil, fmt.Errorf("action %q is defined twice", m.Actions[i].Name)
			}
			r.actions[m.Actions[i].Name] = &m.Actions[i]
		}
		for i := range m.Options {
			if _, dup := r.options[m.Options[i].Name]; dup {
				return nil, fmt.Errorf("option %q is defined twice", m.Options[i].Name)
			}
			r.options[m.Options[i].Name] = len(r.defs)
			r.defs = append(r.defs, &m.Options[i])
		}
		r.objects = append(r.objects, m.Objects...)
		for _, name := range m.Untrusted {
			r.upTo[name] = SandboxUntrusted
		}
		for _, name := range m.Trusted {
			r.upTo[name] = SandboxTrusted
		}
	}
	for _, setups := range []bool{true, false} {
		for _, name := range r.names(setups) {
			for i := range name {
				if name[i] == '.' {
					r.known[name[:i]] = true
				}
			}
			r.known[name] = true
		}
	}
	for _, o := range r.objects {
		switch o.Name {
		case objectVRequest:
			r.vrObject = o
		case objectChunkQueue:
			r.queueObject = o
		}
	}
	if r.vrObject == nil || r.queueObject == nil {
		return nil, fmt.Errorf("no module defines the Lua objects %q and %q", objectVRequest, objectChunkQueue)
	}
	return r, nil
}

// names returns the names of all actions and options, or all setups and options.
func (r *registry) names(setups bool) []string {
	var out []string
	if setups {
		for n := range r.setups {
			out = append(out, n)
		}
	} else {
		for n := range r.actions {
			out = append(out, n)
		}
	}
	for n := range r.options {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}
