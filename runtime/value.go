package runtime

import (
	"fmt"
	"strings"
)

// Kind says what a [Value] holds.
type Kind uint8

// The kinds of configuration values, lighttpd2's value types.
const (
	KindNone Kind = iota
	KindBool
	KindNumber
	KindString
	KindList
	KindAction
	KindCondition
)

var kindNames = [...]string{"nothing", "a boolean", "a number", "a string", "a list", "an action", "a condition"}

// String names the kind the way error messages do: "a string".
func (k Kind) String() string { return kindNames[k] }

// Value is one argument of a setup, an action or an option: what a Lua value
// becomes when a script hands it to the configuration. It is immutable.
//
// A hash ({a = 1}) is a list of two-element lists, as in lighttpd2.
type Value struct {
	kind   Kind
	hash   bool
	num    float64
	str    string
	list   []Value
	action *Node // of a list: the list action that it was made into; list may be nil then
	cond   *Condition
}

// StringValue, NumberValue, BoolValue and ListValue make values for Go callers.
func StringValue(s string) Value     { return Value{kind: KindString, str: s} }
func NumberValue(n float64) Value    { return Value{kind: KindNumber, num: n} }
func ListValue(items ...Value) Value { return Value{kind: KindList, list: items} }

// BoolValue makes a boolean value.
func BoolValue(b bool) Value {
	v := Value{kind: KindBool}
	if b {
		v.num = 1
	}
	return v
}

// Kind returns what the value holds.
func (v Value) Kind() Kind { return v.kind }

// Str returns the string of a string value, and whether it is one.
func (v Value) Str() (string, bool) { return v.str, v.kind == KindString }

// Int returns the number cut to an integer, as lighttpd2 does, and whether the value is a number.
func (v Value) Int() (int64, bool) { return int64(v.num), v.kind == KindNumber }

// Float returns the number, and whether the value is a number.
func (v Value) Float() (float64, bool) { return v.num, v.kind == KindNumber }

// Bool returns the boolean, and whether the value is one.
func (v Value) Bool() (val, ok bool) { return v.num != 0, v.kind == KindBool }

// List returns the elements of a list, and whether the value is one.
func (v Value) List() ([]Value, bool) { return v.items(), v.kind == KindList }

// items returns the elements of a list. A list of actions is kept as the action alone: as
// values the lists of a large configuration would take more memory than the pipeline.
func (v Value) items() []Value {
	if v.kind != KindList || v.list != nil || v.action == nil {
		return v.list
	}
	acts := listActions(v.action.Act)
	items := make([]Value, len(acts))
	for i, a := range acts {
		items[i] = ActionValue(a.(*Node))
	}
	return items
}

// IsHash reports whether the value was written as a table with string keys.
func (v Value) IsHash() bool { return v.hash }

// Action returns the action, and whether the value is one. A list of actions is a
// list action, and of a single one that one; nothing else is converted.
func (v Value) Action() (*Node, bool) {
	switch {
	case v.action != nil:
		return v.action, true
	case !v.isAction():
		return nil, false
	case len(v.list) == 1:
		return v.list[0].Action()
	}
	return listNode(v.actions()), true
}

// isAction reports whether Action returns one.
func (v Value) isAction() bool {
	if v.kind != KindList || v.action != nil {
		return v.action != nil
	}
	for _, item := range v.list {
		if !item.isAction() {
			return false
		}
	}
	return !v.hash
}

// actions returns the elements of a list of actions as actions.
func (v Value) actions() List {
	l := make(List, len(v.list))
	for i, item := range v.list {
		l[i], _ = item.Action()
	}
	return l
}

func listNode(act Action) *Node { return &Node{Name: "list", Act: act} }

// Condition returns the condition, and whether the value is one.
func (v Value) Condition() (*Condition, bool) { return v.cond, v.kind == KindCondition }

// Strings returns the strings of a list of strings, or the one string of a string.
func (v Value) Strings() ([]string, bool) {
	switch v.kind {
	case KindString:
		return []string{v.str}, true
	case KindList:
		if v.action != nil {
			return nil, false
		}
		out := make([]string, len(v.list))
		for i, item := range v.list {
			s, ok := item.Str()
			if !ok {
				return nil, false
			}
			out[i] = s
		}
		return out, true
	}
	return nil, false
}

// Pair is one entry of a key-value list.
type Pair struct {
	Key   Value
	Value Value
}

// Pairs returns the entries of a key-value list: {a = 1}, {{"a", 1}} or one pair {"a", 1}.
func (v Value) Pairs() ([]Pair, bool) {
	if v.kind != KindList {
		return nil, false
	}
	items := v.items()
	if len(items) == 2 && items[0].kind != KindList {
		return []Pair{{items[0], items[1]}}, true
	}
	out := make([]Pair, len(items))
	for i, item := range items {
		pair := item.items()
		if item.kind != KindList || len(pair) != 2 {
			return nil, false
		}
		out[i] = Pair{pair[0], pair[1]}
	}
	return out, true
}

// unwrapped removes lists of a single element: ("K","V"), ({"K","V"}) and
// ({{"K","V"}}) are the same arguments (lighttpd2, li_value_get_single_argument).
func (v Value) unwrapped() Value {
	for v.kind == KindList && len(v.list) == 1 {
		v = v.list[0]
	}
	return v
}

// String prints the value for messages and traces.
func (v Value) String() string {
	switch v.kind {
	case KindBool:
		return fmt.Sprint(v.num != 0)
	case KindNumber:
		return fmt.Sprint(v.num)
	case KindString:
		return fmt.Sprintf("%q", v.str)
	case KindList:
		parts := make([]string, len(v.items()))
		for i, item := range v.items() {
			parts[i] = item.String()
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case KindAction:
		return v.action.Name
	case KindCondition:
		return v.cond.String()
	}
	return "nil"
}
