package bindings

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"luaserve/runtime"
)

// optionReaders read the options of a key-value list, by their names.
type optionReaders = map[string]func(runtime.Value) error

// readOptions hands each option of a key-value list to its reader. Words may be joined
// by "_" as well as by "-".
func readOptions(options []runtime.Pair, readers optionReaders) error {
	seen := map[string]bool{}
	for _, p := range options {
		name, ok := p.Key.Str()
		if !ok {
			return fmt.Errorf("expected the name of an option, got %s", p.Key)
		}
		name = strings.ReplaceAll(name, "_", "-")
		read, ok := readers[name]
		switch {
		case !ok:
			return unknownOption(name, slices.Sorted(maps.Keys(readers)))
		case seen[name]:
			return fmt.Errorf("the option %q is given twice", name)
		}
		seen[name] = true
		if err := read(p.Value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func unknownOption(name string, known []string) error {
	if near := runtime.Nearest(name, known); near != "" {
		return fmt.Errorf("unknown option %q; did you mean %q?", name, near)
	}
	return fmt.Errorf("unknown option %q; expected one of %s", name, strings.Join(known, ", "))
}

func numberOption(to *int64, least, most int64) func(runtime.Value) error {
	return func(v runtime.Value) error {
		f, ok := v.Float()
		n := int64(f)
		if !ok || float64(n) != f || n < least || n > most {
			if most >= 1<<40 {
				return fmt.Errorf("expected a whole number of at least %d, got %s", least, v)
			}
			return fmt.Errorf("expected a whole number from %d to %d, got %s", least, most, v)
		}
		*to = n
		return nil
	}
}

func stringsOption(to *[]string) func(runtime.Value) error {
	return func(v runtime.Value) error {
		list, ok := v.Strings()
		if !ok || v.Kind() != runtime.KindList {
			return fmt.Errorf("expected a list of strings, got %s", v)
		}
		if slices.Contains(list, "") {
			return errors.New("an entry is empty")
		}
		*to = list
		return nil
	}
}

func boolOption(to *bool) func(runtime.Value) error {
	return func(v runtime.Value) error {
		b, ok := v.Bool()
		if !ok {
			return fmt.Errorf("expected true or false, got %s", v)
		}
		*to = b
		return nil
	}
}

// stringOption reads text that may stand in a header field.
func stringOption(to *string) func(runtime.Value) error {
	return func(v runtime.Value) error {
		s, ok := v.Str()
		if !ok || s == "" || !runtime.ValidFieldValue(s) {
			return fmt.Errorf("expected a string, got %s", v)
		}
		*to = s
		return nil
	}
}

// secondsOption reads a length of time in seconds, fractions included.
func secondsOption(to *time.Duration, least, most time.Duration) func(runtime.Value) error {
	return func(v runtime.Value) error {
		f, ok := v.Float()
		if !ok || !(f >= least.Seconds() && f <= most.Seconds()) {
			return fmt.Errorf("expected seconds from %v to %v, got %s", least.Seconds(), most.Seconds(), v)
		}
		*to = time.Duration(f * float64(time.Second))
		return nil
	}
}
