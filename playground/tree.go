package playground

import (
	"fmt"
	"strconv"
	"strings"

	"luaserve/runtime"
)

// place is where the pipeline has an action, as the page draws it: what is in a list stands
// in a row, and what is in the else of a when is a row behind it.
type place struct {
	ID        int      `json:"id"`
	Name      string   `json:"name"`
	Label     string   `json:"label,omitempty"` // the key of a map, "hit" and "miss"
	Else      bool     `json:"else,omitempty"`  // it runs when the condition before it does not hold
	File      string   `json:"file,omitempty"`
	Line      int      `json:"line,omitempty"`
	Condition string   `json:"condition,omitempty"`
	Args      []string `json:"args,omitempty"`
	Children  []*place `json:"children,omitempty"`
	More      bool     `json:"more,omitempty"` // there are children, but too many
	// Dynamic says that the action is not in the script's pipeline: a handler made it.
	Dynamic bool `json:"dynamic,omitempty"`
	// Met says that the request came here, and Steps what happened then; several when it came
	// more than once.
	Met   bool            `json:"met,omitempty"`
	Steps []*runtime.Step `json:"steps,omitempty"`

	node      *runtime.Node
	otherwise *place // the else of a when that is no when
}

// maxPlaces bounds the tree: one action may be in many places of it.
const maxPlaces = 20000

// drawing makes the tree of a program.
type drawing struct{ places int }

// draw returns the pipeline.
func draw(p *runtime.Program) *place {
	d := &drawing{}
	root := &place{Name: "pipeline"}
	if t := p.Pipeline(); t.Node != nil {
		root.node = t.Node
		d.add(root, t, "")
	}
	number(root, new(int))
	return root
}

// number gives ids in the order of the script.
func number(p *place, next *int) {
	p.ID = *next
	*next++
	for _, c := range p.Children {
		number(c, next)
	}
}

// add puts an action, or what is in a list, behind the children of a place.
func (d *drawing) add(to *place, t runtime.Tree, label string) {
	if d.places++; d.places > maxPlaces {
		to.More = true
		return
	}
	if t.Node.Name == "list" && label == "" {
		for _, c := range t.Children() {
			d.add(to, c, "")
		}
		return
	}
	p := &place{Name: t.Node.Name, Label: label, File: t.Node.Pos.File, Line: t.Node.Pos.Line, node: t.Node}
	to.Children = append(to.Children, p)
	if c := t.Condition(); c != nil {
		p.Condition = c.String()
		d.branches(to, p, t)
		return
	}
	for _, a := range t.Args() {
		if s := argument(a); s != "" {
			p.Args = append(p.Args, s)
		}
	}
	for _, c := range t.Children() {
		key := c.Label
		if _, err := strconv.Atoi(key); err == nil && t.Node.Name == "list" {
			key = ""
		}
		d.add(p, c, key)
	}
}

// branches puts what a when runs below it, and its else into the row behind it.
func (d *drawing) branches(row, when *place, t runtime.Tree) {
	for _, c := range t.Children() {
		switch {
		case c.Label != "else":
			d.add(when, c, "")
		case c.Condition() != nil:
			at := len(row.Children)
			d.add(row, c, "")
			if len(row.Children) > at {
				row.Children[at].Else = true
			}
		default:
			when.otherwise = &place{Name: "else", Else: true, File: c.Node.Pos.File, Line: c.Node.Pos.Line, node: c.Node}
			row.Children = append(row.Children, when.otherwise)
			d.add(when.otherwise, c, "")
		}
	}
}

// maxArgument is how much of an argument is shown, in characters.
const maxArgument = 60

// argument is an argument as text, "" for those that are drawn as children.
func argument(a runtime.Argument) string {
	return cut(value(a.Value), maxArgument)
}

func value(v runtime.Value) string {
	if s, ok := v.Str(); ok {
		return strconv.Quote(s)
	}
	if b, ok := v.Bool(); ok {
		return strconv.FormatBool(b)
	}
	if n, ok := v.Float(); ok {
		return strconv.FormatFloat(n, 'g', -1, 64)
	}
	if _, ok := v.Action(); ok {
		return ""
	}
	items, _ := v.List()
	var parts []string
	for _, item := range items[:min(len(items), maxArgument)] {
		pair, isList := item.List()
		if key, ok := "", false; v.IsHash() && isList && len(pair) == 2 {
			if key, ok = pair[0].Str(); ok {
				if text := value(pair[1]); text != "" {
					parts = append(parts, fmt.Sprintf("[%q] = %s", key, text))
				}
				continue
			}
		}
		if text := value(item); text != "" {
			parts = append(parts, text)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}

func cut(s string, limit int) string {
	if r := []rune(s); len(r) > limit {
		return string(r[:limit-1]) + "…"
	}
	return s
}

// light puts what a request met to the places where it met it.
func light(root *place, steps []*runtime.Step) {
	root.Met = true
	next := root.size()
	lightRow(root, steps, &next)
}

// lightRow puts down the steps of one row, that of the place within.
func lightRow(within *place, steps []*runtime.Step, next *int) {
	for _, s := range steps {
		at := find(within, s.Node())
		switch {
		case at == nil && s.Name == "list": // it is not drawn itself
			lightRow(within, s.Steps, next)
			continue
		case at == nil:
			at = &place{ID: *next, Name: s.Name, File: s.File, Line: s.Line, Else: s.Else, Dynamic: true, node: s.Node()}
			*next++
			within.Children = append(within.Children, at)
		}
		at.Met = true
		one := *s
		one.Steps = nil
		at.Steps = append(at.Steps, &one)
		inside := at
		if s.Taken == "else" && at.otherwise != nil {
			inside = at.otherwise
			inside.Met = true
		}
		lightRow(inside, s.Steps, next)
	}
}

// find returns the place of an action below another one: the highest, and of several equal
// ones in a row the first where the request has not been yet.
func find(within *place, node *runtime.Node) *place {
	if node == nil {
		return nil
	}
	for row := within.Children; len(row) > 0; {
		var found *place
		for _, p := range row {
			if p.node == node && (found == nil || found.Met && !p.Met) {
				found = p
			}
		}
		if found != nil {
			return found
		}
		var below []*place
		for _, p := range row {
			below = append(below, p.Children...)
		}
		row = below
	}
	return nil
}

// size counts a place and all below it.
func (p *place) size() int {
	n := 1
	for _, c := range p.Children {
		n += c.size()
	}
	return n
}
