package bindings

import (
	"errors"
	"fmt"
	"time"

	"luaserve/runtime"
)

// luaModule loads Lua plugins and handlers.
func luaModule() *runtime.Module {
	return &runtime.Module{
		Name: "lua",
		Doc:  "Loads Lua plugins, which add actions and setups, and Lua handlers.",
		Setups: []runtime.Setup{
			{Name: "lua.plugin", Run: setupPlugin,
				Doc:     `Loads a file that sets the globals "actions" and "setups" to tables of functions. core.lua and secdownload.lua are built in.`,
				Example: `lua.plugin "core.lua"`,
				Params: []runtime.Param{
					{Name: "file", Type: runtime.TString, Doc: "looked for beside the script, in the working directory, and among the built-in ones"},
					{Name: "options", Type: runtime.TAny, Optional: true, Doc: "a table of options; there are none yet"},
					{Name: "args", Type: runtime.TAny, Optional: true, Doc: "handed to the file as its second argument"}}},
			{Name: "lua.states", Run: setupStates,
				Doc:     "Sets how many Lua states the handlers of this script run in. Without it there is one a core, or a single one when handlers write to variables of the script.",
				Example: "setup.lua.states(1)",
				Params:  []runtime.Param{{Name: "count", Type: runtime.TNumber}}},
			{Name: "lua.sandbox", Run: setupSandbox,
				Doc: `Sets what the functions of this script may do while requests are handled: "handler", as it is without this setup, refuses to run commands and to change Lua's libraries; "trusted" allows everything. ` +
					`docs/security.md describes the levels.`,
				Example: `setup.lua.sandbox("handler", { allow = { "io.popen" } })`,
				Params: []runtime.Param{
					{Name: "level", Type: runtime.TString},
					{Name: "options", Type: runtime.TAny, Optional: true, Doc: `"allow": a list of names that the level refuses and this script may use`}}},
		},
		Actions: []runtime.ActionDef{{
			Name: "lua.handler", New: newHandler,
			Doc:     `Runs the global "actions" of a Lua file, which has a heap of its own and is loaded when it is first needed.`,
			Example: `actions = lua.handler("handler.lua", { ttl = 300 }, { greeting = "hello" })`,
			Params: []runtime.Param{
				{Name: "file", Type: runtime.TString},
				{Name: "options", Type: runtime.TAny, Optional: true, Doc: `"ttl": seconds after which a changed file is loaded again; ` +
					`"sandbox": what the code of the file may do: "trusted", "handler" (the default) or "untrusted"; "root": the directory that an untrusted file is confined to; "allow": a list of names that the level refuses and this file may use`},
				{Name: "args", Type: runtime.TAny, Optional: true, Doc: "handed to the file as its second argument"}},
		}},
	}
}

func setupPlugin(b *runtime.Builder, args runtime.Args) error {
	pairs, err := options(args.Value(1))
	if err != nil {
		return err
	}
	if len(pairs) > 0 {
		return fmt.Errorf("unknown option %s; there are none", pairs[0].Key)
	}
	return b.Plugin(args.Str(0), args.Value(2))
}

// options returns the entries of an optional table of options.
func options(v runtime.Value) ([]runtime.Pair, error) {
	if v.Kind() == runtime.KindNone {
		return nil, nil
	}
	pairs, ok := v.Pairs()
	if !ok {
		return nil, fmt.Errorf("options: expected a key-value list, got %s", v.Kind())
	}
	return pairs, nil
}

func setupStates(b *runtime.Builder, args runtime.Args) error {
	n := args.Int(0)
	if n < 1 || n > 256 {
		return fmt.Errorf("count: expected a number from 1 to 256, got %d", n)
	}
	b.SetStates(int(n))
	return nil
}

func newHandler(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	if args.Str(0) == "" {
		return nil, errors.New("file: expected the name of a Lua file")
	}
	pairs, err := options(args.Value(1))
	if err != nil {
		return nil, err
	}
	var ttl time.Duration
	var sandbox runtime.Sandbox
	for _, p := range pairs {
		switch key, _ := p.Key.Str(); key {
		case "ttl":
			n, ok := p.Value.Int()
			if !ok || n <= 0 {
				return nil, fmt.Errorf("ttl: expected a positive number of seconds, got %s", p.Value)
			}
			ttl = time.Duration(n) * time.Second
		case "sandbox", "root", "allow":
			if err := sandboxOption(&sandbox, key, p.Value); err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
		default:
			return nil, fmt.Errorf(`unknown option %s; expected "ttl", "sandbox", "root" or "allow"`, p.Key)
		}
	}
	return b.Handler(args.Str(0), ttl, args.Value(2), sandbox)
}

// sandboxOption reads one entry of a table that says what a script may do.
func sandboxOption(s *runtime.Sandbox, key string, v runtime.Value) (err error) {
	ok := true
	switch key {
	case "sandbox":
		var name string
		if name, ok = v.Str(); ok {
			s.Level, err = runtime.ParseSandboxLevel(name)
		}
	case "root":
		if s.Root, ok = v.Str(); ok && s.Root == "" {
			err = errors.New("expected the name of a directory")
		}
	case "allow":
		s.Allow, ok = v.Strings()
	}
	if !ok {
		err = fmt.Errorf("expected %s, got %s", map[string]string{"sandbox": "the name of a level", "root": "the name of a directory", "allow": "a list of names"}[key], v.Kind())
	}
	return err
}

func setupSandbox(b *runtime.Builder, args runtime.Args) error {
	level, err := runtime.ParseSandboxLevel(args.Str(0))
	if err != nil {
		return err
	}
	sandbox := runtime.Sandbox{Level: level}
	pairs, err := options(args.Value(1))
	if err != nil {
		return err
	}
	for _, p := range pairs {
		if key, _ := p.Key.Str(); key != "allow" {
			return fmt.Errorf(`unknown option %s; expected "allow"`, p.Key)
		}
		if err := sandboxOption(&sandbox, "allow", p.Value); err != nil {
			return fmt.Errorf("allow: %w", err)
		}
	}
	return b.SetSandbox(sandbox)
}
