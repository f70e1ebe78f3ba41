package bindings

import (
	"fmt"
	"strings"

	"luaserve/runtime"
)

// entry is a named value that a setup takes in a table: listen in openssl { listen = "…" }.
type entry[T any] struct {
	name, doc string
	many      bool // may be given several times
	set       func(into *T, v runtime.Value) error
}

// readEntries reads a table of entries; a name that is not among them, and one that is
// given twice, is an error.
func readEntries[T any](into *T, entries []entry[T], pairs []runtime.Pair) error {
	seen := map[string]bool{}
	for _, p := range pairs {
		name, _ := p.Key.Str()
		e := findEntry(entries, name)
		if e == nil {
			return unknownEntry(entries, p.Key)
		}
		if seen[name] && !e.many {
			return fmt.Errorf("%s is given twice", name)
		}
		seen[name] = true
		if err := e.set(into, p.Value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func findEntry[T any](entries []entry[T], name string) *entry[T] {
	for i := range entries {
		if entries[i].name == name {
			return &entries[i]
		}
	}
	return nil
}

func unknownEntry[T any](entries []entry[T], key runtime.Value) error {
	names := make([]string, len(entries))
	for i := range entries {
		names[i] = entries[i].name
	}
	if name, ok := key.Str(); ok {
		if err := runtime.Unknown("entry", name, names); err.Nearest != "" {
			return err
		}
	}
	return fmt.Errorf("unknown entry %s; expected one of %s", key, strings.Join(names, ", "))
}

// describeEntries lists the entries below the documentation of a parameter.
func describeEntries[T any](entries []entry[T]) string {
	var b strings.Builder
	b.WriteString("its entries are")
	for _, e := range entries {
		fmt.Fprintf(&b, "\n  - `%s`: %s", e.name, e.doc)
	}
	return b.String()
}

func stringEntry[T any](of func(*T) *string) func(*T, runtime.Value) error {
	return func(into *T, v runtime.Value) error {
		s, ok := v.Str()
		if !ok {
			return fmt.Errorf("expected a string, got %s", v.Kind())
		}
		*of(into) = s
		return nil
	}
}

func boolEntry[T any](of func(*T) *bool) func(*T, runtime.Value) error {
	return func(into *T, v runtime.Value) error {
		b, ok := v.Bool()
		if !ok {
			return fmt.Errorf("expected a boolean, got %s", v.Kind())
		}
		*of(into) = b
		return nil
	}
}
