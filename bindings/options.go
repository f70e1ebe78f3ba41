package bindings

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"luaserve/runtime"
)

// option is a named value in a table that a setup or an action takes: read_timeout in
// fastcgi { … }. T is what all of them say together; before any is read it holds the defaults.
type option[T any] struct {
	name, typ, doc string // see [runtime.TableOption]
	set            func(into *T, v runtime.Value) error
	get            func(of *T) string // the default, as a script writes it; nil when there is none
	many           bool               // may be given several times
	required       bool
	inner          []runtime.TableOption
}

// readOptions reads a table. A name that is not among the options, and one that is given twice,
// is an error. Words may be joined by "-" as well as by "_".
func readOptions[T any](into *T, options []option[T], pairs []runtime.Pair) error {
	seen := map[string]bool{}
	for _, p := range pairs {
		name, ok := p.Key.Str()
		if !ok {
			return fmt.Errorf("expected the name of an option, got %s", p.Key)
		}
		joined := strings.ReplaceAll(name, "-", "_")
		i := slices.IndexFunc(options, func(o option[T]) bool { return o.name == joined })
		if i < 0 {
			return unknownOption(options, name)
		}
		o := &options[i]
		if seen[o.name] && !o.many {
			return fmt.Errorf("the option %q is given twice", o.name)
		}
		seen[o.name] = true
		if err := o.set(into, p.Value); err != nil {
			return fmt.Errorf("%s: %w", o.name, err)
		}
	}
	for _, o := range options {
		if o.required && !seen[o.name] {
			return fmt.Errorf("the option %q is missing; expected %s", o.name, o.doc)
		}
	}
	return nil
}

// needed is an option that must be given.
func needed[T any](o option[T]) option[T] {
	o.required = true
	return o
}

func unknownOption[T any](options []option[T], name string) error {
	known := make([]string, len(options))
	for i, o := range options {
		known[i] = o.name
	}
	if err := runtime.Unknown("option", name, known); err.Nearest != "" {
		return err
	}
	return fmt.Errorf("unknown option %q; expected one of %s", name, strings.Join(known, ", "))
}

// describeOptions is what the reference says of options, and what is so unless a script says it.
func describeOptions[T any](options []option[T], defaults *T) []runtime.TableOption {
	var out []runtime.TableOption
	for _, o := range options {
		d := runtime.TableOption{Name: o.name, Type: o.typ, Doc: o.doc, Required: o.required, Options: o.inner}
		if o.get != nil {
			d.Default = o.get(defaults)
		}
		out = append(out, d)
	}
	return out
}

// numberOption takes a whole number.
func numberOption[T any, N int | int64](name, doc string, of func(*T) *N, least, most N) option[T] {
	return option[T]{name: name, typ: "integer", doc: doc,
		set: func(into *T, v runtime.Value) error {
			f, ok := v.Float()
			n := N(f)
			if !ok || float64(n) != f || n < least || n > most {
				if int64(most) >= 1<<40 {
					return fmt.Errorf("expected a whole number of at least %d, got %s", least, v)
				}
				return fmt.Errorf("expected a whole number from %d to %d, got %s", least, most, v)
			}
			*of(into) = n
			return nil
		},
		get: func(defaults *T) string { return fmt.Sprint(*of(defaults)) }}
}

// secondsOption takes a length of time in seconds, fractions included.
func secondsOption[T any](name, doc string, of func(*T) *time.Duration, least, most time.Duration) option[T] {
	return option[T]{name: name, typ: "number", doc: doc,
		set: func(into *T, v runtime.Value) error {
			f, ok := v.Float()
			if !ok || !(f >= least.Seconds() && f <= most.Seconds()) {
				return fmt.Errorf("expected seconds from %v to %v, got %s", least.Seconds(), most.Seconds(), v)
			}
			*of(into) = time.Duration(f * float64(time.Second))
			return nil
		},
		get: func(defaults *T) string { return fmt.Sprint(of(defaults).Seconds()) }}
}

// boolOption takes true or false.
func boolOption[T any](name, doc string, of func(*T) *bool) option[T] {
	return option[T]{name: name, typ: "boolean", doc: doc,
		set: func(into *T, v runtime.Value) error {
			b, ok := v.Bool()
			if !ok {
				return fmt.Errorf("expected true or false, got %s", v)
			}
			*of(into) = b
			return nil
		},
		get: func(defaults *T) string { return strconv.FormatBool(*of(defaults)) }}
}

// stringOption takes any string.
func stringOption[T any](name, doc string, of func(*T) *string) option[T] {
	return option[T]{name: name, typ: "string", doc: doc,
		set: func(into *T, v runtime.Value) error {
			s, ok := v.Str()
			if !ok {
				return fmt.Errorf("expected a string, got %s", v)
			}
			*of(into) = s
			return nil
		},
		get: func(defaults *T) string {
			if s := *of(defaults); s != "" {
				return strconv.Quote(s)
			}
			return ""
		}}
}

// fieldOption takes a string that may stand in a header field, and is not empty.
func fieldOption[T any](name, doc string, of func(*T) *string) option[T] {
	o := stringOption(name, doc, of)
	o.set = func(into *T, v runtime.Value) error {
		s, ok := v.Str()
		if !ok || s == "" || !runtime.ValidFieldValue(s) {
			return fmt.Errorf("expected a string, got %s", v)
		}
		*of(into) = s
		return nil
	}
	return o
}

// stringsOption takes a list of strings.
func stringsOption[T any](name, doc string, of func(*T) *[]string) option[T] {
	return option[T]{name: name, typ: "string[]", doc: doc,
		set: func(into *T, v runtime.Value) (err error) {
			*of(into), err = readStrings(v)
			return err
		},
		get: func(defaults *T) string {
			var quoted []string
			for _, s := range *of(defaults) {
				quoted = append(quoted, strconv.Quote(s))
			}
			if quoted == nil {
				return ""
			}
			return "{ " + strings.Join(quoted, ", ") + " }"
		}}
}

func readStrings(v runtime.Value) ([]string, error) {
	list, ok := v.Strings()
	if !ok || v.Kind() != runtime.KindList {
		return nil, fmt.Errorf("expected a list of strings, got %s", v)
	}
	if slices.Contains(list, "") {
		return nil, errors.New("an entry is empty")
	}
	return list, nil
}
