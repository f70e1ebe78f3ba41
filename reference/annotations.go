package reference

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"luaserve/runtime"
)

// luaTypes are the types of parameters as editors know them.
var luaTypes = map[runtime.ParamType]string{
	runtime.TString: "string", runtime.TPattern: "string", runtime.TAddress: "string", runtime.TNumber: "number", runtime.TBool: "boolean",
	runtime.TAction: "lighty.Actions", runtime.TActions: "lighty.Actions", runtime.TCondition: "lighty.Condition|lighty.Variable",
	runtime.TStrings: "string|string[]", runtime.TPairs: "table", runtime.TAny: "any", runtime.TExact: "any",
}

// annotationType translates the types of fields and methods: "struct stat|nil" is
// lighty.struct_stat|nil. What is no type of Lua is an object, or "action".
func annotationType(types string) string {
	parts := strings.Split(types, "|")
	for i, part := range parts {
		base, list := strings.CutSuffix(part, "[]")
		switch base {
		case "string", "number", "integer", "boolean", "table", "table<string, string>", "function", "any", "nil":
			continue
		case "action":
			base = "lighty.Action"
		case "actions":
			base = "lighty.Actions"
		case "": // of "...": any number of anything
			base = "any"
		default:
			base = className(base)
		}
		if list {
			base += "[]"
		}
		parts[i] = base
	}
	return strings.Join(parts, "|")
}

// className is the class of an object: lighty.request_uri.
func className(object string) string { return "lighty." + strings.ReplaceAll(object, " ", "_") }

// Annotations returns lighty.d.lua: everything as annotations of lua-language-server, for
// completion, hover texts and checks in editors.
func (r *Reference) Annotations() string {
	var a annotations
	a.WriteString(annotationsHead)
	a.conditions(r.modules[0])
	for _, e := range r.all {
		if e.Kind == Object {
			a.object(e)
		}
	}
	for _, e := range r.all {
		if e.Kind == Setup || e.Kind == Action {
			a.tables(e.Kind, e.Name, e.Params)
		}
	}
	a.calls(r)
	return a.String()
}

const annotationsHead = `---@meta _

-- Annotations for lua-language-server: completion, hover texts and checks in editors. Made by
-- "luaserve annotations"; the server does not read this file.

--- What an action call returns: a node of the pipeline.
---@class lighty.Action

--- A test that when runs its actions by.
---@class lighty.Condition

--- A Lua function as an action. It returns nothing, or one of the lighty.HANDLER constants.
---@alias lighty.Handler fun(vr: lighty.vrequest): integer?

--- What may stand where actions are expected: one, a Lua function, or a table of both.
---@alias lighty.Actions lighty.Action|lighty.Handler|(lighty.Action|lighty.Handler|table)[]

--- The pipeline, which a script leaves behind; of a plugin, a table of functions.
---@type lighty.Actions
actions = nil

--- Of a plugin: a table of functions, the setups that it adds.
---@type table<string, function>
setups = nil

--- A table that all handlers of one request share.
---@type table
REQ = {}

`

// annotations is the file in the making.
type annotations struct{ strings.Builder }

func (a *annotations) printf(format string, args ...any) { fmt.Fprintf(a, format, args...) }

// commentWidth is how long the lines of descriptions are.
const commentWidth = 100

// doc writes the lines of a description.
func (a *annotations) doc(text string) {
	if text == "" {
		return
	}
	for line := range strings.Lines(Printer{Width: commentWidth}.hang("", 0, text)) {
		a.printf("--- %s\n", strings.TrimSuffix(line, "\n"))
	}
}

// example writes an example behind a description.
func (a *annotations) example(code string) {
	if code == "" {
		return
	}
	a.printf("---\n--- ```lua\n")
	for line := range strings.Lines(code) {
		a.printf("--- %s\n", strings.TrimSuffix(line, "\n"))
	}
	a.printf("--- ```\n")
}

// conditions writes the variables, by their groups, the operators and the combinations.
func (a *annotations) conditions(m *Entry) {
	a.printf("--- A variable of conditions. A boolean one is a condition itself.\n---@class lighty.Variable\nlocal Variable = {}\n\n")
	for _, e := range m.Entries {
		if e.Kind == Operator {
			a.doc(e.explanation())
			a.call("Variable:"+e.Name, e.Params, "lighty.Condition")
		}
	}
	last := ""
	for _, e := range m.Entries {
		group, field, isVariable := strings.Cut(e.Name, ".")
		if e.Kind == Variable && isVariable {
			if group != last {
				a.printf("--- Variables for conditions.\n---@class lighty.conditions.%s\n%s = {}\n\n", group, group)
				last = group
			}
			a.doc(e.explanation())
			kind := "lighty.Variable"
			if e.keyed {
				kind = "table<string, lighty.Variable>"
			}
			a.printf("---@type %s\n%s.%s = nil\n\n", kind, group, field)
		}
	}
	for _, e := range m.Entries {
		if e.Kind == Combination {
			a.doc(e.explanation())
			a.printf("---@param conditions (lighty.Condition|lighty.Variable)[]\n---@return lighty.Condition\nfunction %s(conditions) end\n\n", e.Name)
		}
	}
}

// object writes a class, and the global variable if there is one.
func (a *annotations) object(o *Entry) {
	a.doc(o.Doc)
	a.printf("---@class %s\n", className(o.Name))
	for _, f := range o.Entries {
		if f.Kind == Field {
			a.printf("---@field %s %s %s%s\n", f.Name, annotationType(f.types), f.Doc, f.access())
		}
	}
	if o.keyed {
		a.printf("---@field [string] string?\n")
	}
	if o.counted {
		a.printf("---@operator len: integer\n")
	}
	name, call := "local "+identifier(o.Name), identifier(o.Name)+":"
	if o.global != "" {
		name, call = o.global, o.global+"."
	}
	a.printf("%s = {}\n\n", name)
	for _, m := range o.Entries {
		if m.Kind == Method {
			a.doc(m.Doc)
			a.call(call+m.Name, m.Params, m.returns()...)
		}
	}
}

// tables writes a class for each table of options that a call takes.
func (a *annotations) tables(kind Kind, call string, params []Param) {
	for _, p := range params {
		if len(p.Options) > 0 {
			a.table(tableClass(kind, call), p.Options)
		}
	}
}

// table writes the class of a table of options, and before it those of the tables in it.
func (a *annotations) table(class string, options []runtime.TableOption) {
	for _, o := range options {
		if len(o.Options) > 0 {
			a.table(class+"."+o.Name, o.Options)
		}
	}
	a.printf("---@class %s\n", class)
	for _, o := range options {
		doc := o.Doc
		if o.Default != "" {
			doc += " (default: " + o.Default + ")"
		}
		// optional also where it is required: many calls take other things than the table
		a.printf("---@field %s? %s %s\n", o.Name, optionType(class, o), doc)
	}
	a.printf("\n")
}

// optionType is the type of an option in a table of the class.
func optionType(class string, o runtime.TableOption) string {
	if len(o.Options) == 0 {
		return annotationType(o.Type)
	}
	return tableType(o.Type, class+"."+o.Name)
}

// tableType is a type in which tables are of a class.
func tableType(types, class string) string {
	parts := strings.Split(annotationType(types), "|")
	for i, part := range parts {
		if base, list := strings.CutSuffix(part, "[]"); base == "table" && list {
			parts[i] = class + "[]"
		} else if base == "table" {
			parts[i] = class
		}
	}
	return strings.Join(parts, "|")
}

// tableClass is the class of the options of a call: lighty.options.action.fastcgi.
func tableClass(kind Kind, call string) string { return optionsClass + string(kind) + "." + call }

const optionsClass = "lighty.options."

// returns are the types of the results of a method.
func (e *Entry) returns() []string {
	if e.types == "" {
		return nil
	}
	var out []string
	for part := range strings.SplitSeq(e.types, ", ") {
		out = append(out, annotationType(part))
	}
	return out
}

// call writes a function with its parameters and the types of its results.
func (a *annotations) call(name string, params []Param, returns ...string) {
	var names []string
	for _, p := range params {
		optional := ""
		if p.Optional && p.Name != "..." {
			optional = "?"
		}
		names = append(names, identifier(p.Name))
		a.WriteString(strings.TrimSpace(fmt.Sprintf("---@param %s%s %s %s", identifier(p.Name), optional, p.lua, strings.ReplaceAll(p.Doc, "\n", "\n---"))) + "\n")
	}
	if len(params) == 1 && params[0].spread && params[0].Name != "..." {
		names = append(names, "...")
		a.printf("---@param ... any\n")
	}
	for _, r := range returns {
		a.printf("---@return %s\n", r)
	}
	a.printf("function %s(%s) end\n\n", name, strings.Join(names, ", "))
}

var notIdentifier = regexp.MustCompile(`\W+`)

// keywords are words of Lua that cannot be names of parameters.
var keywords = []string{"and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in",
	"local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while"}

// identifier makes a name that Lua accepts.
func identifier(name string) string {
	if name == "..." {
		return name
	}
	name = notIdentifier.ReplaceAllString(name, "_")
	if slices.Contains(keywords, name) {
		return name + "_"
	}
	return name
}
