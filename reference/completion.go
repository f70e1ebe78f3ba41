package reference

import (
	"slices"
	"strings"

	"luaserve/runtime"
)

// Completion is what editors offer and show for one name. It is written to JSON.
type Completion struct {
	// Scope is where the name can be written: "" anywhere, "action" behind "action.", "setup"
	// behind "setup.", "operator" behind a condition variable and ":", or the name of an
	// object, behind a value of it.
	Scope string `json:"scope"`
	Name  string `json:"name"` // "header.add", "prefix", "handle_direct"
	Kind  Kind   `json:"kind"`
	Title string `json:"title"` // with parameters: "header.add(name, value)"
	Doc   string `json:"doc"`
	// Params are the parameters of a call.
	Params  []CompletionParam `json:"params,omitempty"`
	Example string            `json:"example,omitempty"`
	// Snippet is what to write, with ${…} for what is to be filled in.
	Snippet string `json:"snippet"`
	Object  string `json:"object,omitempty"` // the object that the name has, or leads to
	Keyed   bool   `json:"keyed,omitempty"`  // it is followed by ["name"]
}

// CompletionParam is a parameter as [Completion] describes it.
type CompletionParam struct {
	Name string `json:"name"` // of an option with its default: "read_timeout = 60"
	Doc  string `json:"doc"`
	// Options are those of the table that it takes.
	Options []CompletionParam `json:"options,omitempty"`
}

func completionOptions(options []runtime.TableOption) []CompletionParam {
	var out []CompletionParam
	for _, o := range options {
		out = append(out, CompletionParam{optionHead(o), optionDoc(o), completionOptions(o.Options)})
	}
	return out
}

// Completions returns all names for completion and hover texts in editors. Names that are
// actions and setups at once, as options are, are in each scope that has them.
func (r *Reference) Completions() []Completion {
	var out []Completion
	for _, e := range r.all {
		for _, scope := range e.scopes() {
			c := Completion{Scope: scope, Name: e.Name, Kind: e.Kind, Title: e.signature(), Doc: e.explanation(), Example: e.Example,
				Snippet: e.snippet(), Keyed: e.keyed}
			if e.Kind != Option { // whose value needs no more than its title
				for _, p := range e.Params {
					c.Params = append(c.Params, CompletionParam{p.Name, p.describe(), completionOptions(p.Options)})
				}
			}
			switch {
			case e.Kind == Object:
				c.Name, c.Object = e.global, e.Name
			case e.Kind == Field && r.object(e.types) != nil:
				c.Object = e.types
			}
			out = append(out, c)
		}
	}
	return out
}

// scopes are where an entry can be written; see [Completion].
func (e *Entry) scopes() []string {
	switch e.Kind {
	case Setup:
		return []string{"setup"}
	case Action, Option:
		scopes := []string{"action"}
		if first, _, _ := strings.Cut(e.Name, "."); !slices.Contains(libraries, first) {
			scopes = append(scopes, "")
		}
		if e.Kind == Option {
			scopes = append(scopes, "setup")
		}
		return scopes
	case Variable, Combination:
		return []string{""}
	case Operator:
		return []string{"operator"}
	case Field, Method:
		return []string{e.owner.Name}
	case Object:
		if e.global != "" {
			return []string{""}
		}
	}
	return nil
}

// snippet is what an editor writes for the entry.
func (e *Entry) snippet() string {
	switch e.Kind {
	case Combination:
		return e.Name + " { ${conditions} }"
	case Variable:
		if e.keyed {
			return e.Name + `["${name}"]`
		}
		return e.Name
	case Object:
		return e.global
	case Field:
		return e.Name
	}
	var required []Param
	for i, p := range e.Params {
		// what a when does is optional, but nobody writes one without
		if p.Name != "..." && (!p.Optional || i == 1 && p.lua == luaTypes[runtime.TAction]) {
			required = append(required, p)
		}
	}
	if len(required) == 0 && len(e.Params) > 0 {
		return e.Name + "(${})"
	}
	if len(required) == 1 && e.Kind != Method {
		switch value := required[0].snippet(); value[0] {
		case '"', '{':
			return e.Name + " " + value
		}
	}
	values := make([]string, len(required))
	for i, p := range required {
		values[i] = p.snippet()
	}
	return e.Name + "(" + strings.Join(values, ", ") + ")"
}

// snippet is a value of the parameter's type to be filled in.
func (p Param) snippet() string {
	name := strings.NewReplacer("{", "", "}", "").Replace(p.Name)
	kind, _, _ := strings.Cut(p.lua, "|")
	switch kind {
	case "string":
		return `"${` + name + `}"`
	case "table", "lighty.Actions":
		return "{ ${" + name + "} }"
	}
	if strings.HasPrefix(kind, optionsClass) {
		return "{ ${" + name + "} }"
	}
	return "${" + name + "}"
}
