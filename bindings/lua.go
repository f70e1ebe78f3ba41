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
					{Name: "options", Type: runtime.TAny, Optional: true, Options: describeOptions(sandboxOptions, &handlerOptions{})}}},
		},
		Actions: []runtime.ActionDef{{
			Name: "lua.handler", New: newHandler,
			Doc:     `Runs the global "actions" of a Lua file, which has a heap of its own and is loaded when it is first needed.`,
			Example: `actions = lua.handler("handler.lua", { ttl = 300 }, { greeting = "hello" })`,
			Params: []runtime.Param{
				{Name: "file", Type: runtime.TString},
				{Name: "options", Type: runtime.TAny, Optional: true, Options: describeOptions(handlerTable, &handlerOptions{})},
				{Name: "args", Type: runtime.TAny, Optional: true, Doc: "handed to the file as its second argument"}},
		}},
	}
}

func setupPlugin(b *runtime.Builder, args runtime.Args) error {
	pairs, err := optionalTable(args.Value(1))
	if err != nil {
		return err
	}
	if len(pairs) > 0 {
		return fmt.Errorf("unknown option %s; there are none", pairs[0].Key)
	}
	return b.Plugin(args.Str(0), args.Value(2))
}

// optionalTable returns the options of a table that may be missing.
func optionalTable(v runtime.Value) ([]runtime.Pair, error) {
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
	pairs, err := optionalTable(args.Value(1))
	if err != nil {
		return nil, err
	}
	var o handlerOptions
	if err := readOptions(&o, handlerTable, pairs); err != nil {
		return nil, err
	}
	return b.Handler(args.Str(0), o.ttl, args.Value(2), o.sandbox)
}

// handlerOptions is what a script says of another one.
type handlerOptions struct {
	ttl     time.Duration
	sandbox runtime.Sandbox
}

// sandboxOptions are those of lua.sandbox, which has the level as an argument.
var sandboxOptions = []option[handlerOptions]{
	{name: "allow", typ: "string|string[]", set: (*handlerOptions).readAllowed,
		doc: "a list of names that the level refuses and the code may use"},
}

var handlerTable = append([]option[handlerOptions]{
	{name: "ttl", typ: "integer", set: (*handlerOptions).readTTL,
		doc: "seconds after which a changed file is loaded again; by default never"},
	{name: "sandbox", typ: "string", set: (*handlerOptions).readLevel,
		doc: `what the code of the file may do: "trusted", "handler" (the default) or "untrusted"`},
	{name: "root", typ: "string", set: (*handlerOptions).readRoot,
		doc: "the directory that an untrusted file is confined to"},
}, sandboxOptions...)

func (o *handlerOptions) readTTL(v runtime.Value) error {
	n, ok := v.Int()
	if !ok || n <= 0 {
		return fmt.Errorf("expected a positive number of seconds, got %s", v)
	}
	o.ttl = time.Duration(n) * time.Second
	return nil
}

func (o *handlerOptions) readLevel(v runtime.Value) (err error) {
	name, ok := v.Str()
	if !ok {
		return fmt.Errorf("expected the name of a level, got %s", v.Kind())
	}
	o.sandbox.Level, err = runtime.ParseSandboxLevel(name)
	return err
}

func (o *handlerOptions) readRoot(v runtime.Value) error {
	root, ok := v.Str()
	if !ok || root == "" {
		return fmt.Errorf("expected the name of a directory, got %s", v)
	}
	o.sandbox.Root = root
	return nil
}

func (o *handlerOptions) readAllowed(v runtime.Value) error {
	names, ok := v.Strings()
	if !ok {
		return fmt.Errorf("expected a list of names, got %s", v.Kind())
	}
	o.sandbox.Allow = names
	return nil
}

func setupSandbox(b *runtime.Builder, args runtime.Args) error {
	level, err := runtime.ParseSandboxLevel(args.Str(0))
	if err != nil {
		return err
	}
	pairs, err := optionalTable(args.Value(1))
	if err != nil {
		return err
	}
	o := handlerOptions{sandbox: runtime.Sandbox{Level: level}}
	if err := readOptions(&o, sandboxOptions, pairs); err != nil {
		return err
	}
	return b.SetSandbox(o.sandbox)
}
