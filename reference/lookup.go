package reference

import (
	"slices"
	"strings"

	"luaserve/runtime"
)

// Modules returns the modules and plugins, and "conditions" as the first of them.
func (r *Reference) Modules() []*Entry { return r.modules }

// Find returns what a name stands for: "expire" is a module and an action, "log" a setup and
// an action. Names can be written as scripts use them: "setup.listen", ":prefix", "vr:stat",
// "vr.req.uri.path", "lighty.md5", `request.header["Host"]`.
func (r *Reference) Find(name string) []*Entry {
	name, _, _ = strings.Cut(name, "[")
	name, _, _ = strings.Cut(name, "(")
	var out []*Entry
	for _, e := range r.all {
		if e.isCalled(name) {
			out = append(out, e)
		}
	}
	if e := r.follow(name); e != nil && !slices.Contains(out, e) {
		out = append(out, e)
	}
	return out
}

// isCalled reports whether name means e, apart from chains such as vr.req.
func (e *Entry) isCalled(name string) bool {
	switch e.Kind {
	case Setup:
		return strings.TrimPrefix(name, "setup.") == e.Name
	case Action:
		return strings.TrimPrefix(name, "action.") == e.Name
	case Option:
		return strings.TrimPrefix(strings.TrimPrefix(name, "setup."), "action.") == e.Name
	case Operator:
		return strings.TrimPrefix(name, ":") == e.Name
	case Field, Method:
		return name == e.owner.Name+"."+e.Name || name == e.owner.Name+":"+e.Name
	}
	return name == e.Name
}

// follow finds what a chain of fields leads to: vr.req.uri.path. It returns nil if it leads
// nowhere.
func (r *Reference) follow(name string) *Entry {
	parts := strings.FieldsFunc(name, func(c rune) bool { return c == '.' || c == ':' })
	if len(parts) == 0 || parts[0] != "vr" {
		return nil
	}
	at := r.object("vrequest")
	for _, part := range parts[1:] {
		if at == nil {
			return nil
		}
		inside := at
		if at.Kind != Object {
			inside = r.object(at.types)
		}
		if inside == nil {
			return nil
		}
		at = inside.entry(part)
	}
	return at
}

func (r *Reference) object(name string) *Entry {
	for _, e := range r.all {
		if e.Kind == Object && e.Name == name {
			return e
		}
	}
	return nil
}

func (e *Entry) entry(name string) *Entry {
	for _, sub := range e.Entries {
		if sub.Name == name {
			return sub
		}
	}
	return nil
}

// Below returns the entries whose names begin with name and a dot: for "header" header.add.
func (r *Reference) Below(name string) []*Entry {
	var out []*Entry
	for _, e := range r.all {
		if strings.HasPrefix(e.Name, name+".") {
			out = append(out, e)
		}
	}
	return out
}

// maxNear is how many names are offered in the place of an unknown one.
const maxNear = 5

// Near returns names to offer for an unknown one, the best first: those that are written
// almost alike, those that contain it, and those whose description mentions it.
func (r *Reference) Near(name string) []string {
	var out []string
	add := func(s string) {
		if s != "" && !slices.Contains(out, s) && len(out) < maxNear {
			out = append(out, s)
		}
	}
	names := slices.DeleteFunc(r.Names(), func(s string) bool { return strings.HasPrefix(s, ":") && !strings.HasPrefix(name, ":") }) // :ip is near to all that is short
	add(runtime.Nearest(name, names))
	word := strings.ToLower(name)
	for _, e := range r.all {
		if strings.Contains(strings.ToLower(e.Name), word) {
			add(e.plain())
		}
	}
	for _, e := range r.all {
		if strings.Contains(strings.ToLower(e.Doc), word) {
			add(e.plain())
		}
	}
	return out
}

// Names returns all names that [Reference.Find] knows, each once, in the order of the page.
func (r *Reference) Names() []string {
	var out []string
	seen := map[string]bool{}
	for _, e := range r.all {
		if name := e.plain(); !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	return out
}

// plain is the name of an entry by which it is found.
func (e *Entry) plain() string {
	if e.Kind == Variable {
		return e.Name
	}
	return e.qualified()
}
