package bindings

import (
	"fmt"
	"slices"
	"strings"

	"luaserve/runtime"
)

// coreModule holds what every configuration uses: lists, conditions, the mapping of URLs
// to files, simple responses, headers, the environment, and what the server listens on.
func coreModule() *runtime.Module {
	return &runtime.Module{
		Name: "core",
		Doc:  "Lists and conditions, the mapping of URLs to files, simple responses, headers and the environment.",
		Setups: []runtime.Setup{
			listenSetup(),
			limitsSetup(),
			ioTimeoutSetup(),
			{Name: "module_load", Run: setupNothing,
				Doc:      "Names modules to load.",
				NoEffect: "all modules are built in",
				Example:  `setup.module_load { "mod_fastcgi", "mod_expire" }`,
				Params:   []runtime.Param{{Name: "modules", Type: runtime.TStrings, Doc: "a name or a list of names"}}},
			{Name: "workers", Run: setupWorkers,
				Doc:      "Sets the number of threads, at least 1.",
				NoEffect: "all cores are used; the environment variable GOMAXPROCS sets another number",
				Example:  "setup.workers(2)",
				Params:   []runtime.Param{{Name: "count", Type: runtime.TNumber}}},
			{Name: "workers.cpu_affinity", Run: setupNothing,
				Doc:      "Binds threads to processors.",
				NoEffect: "requests are not bound to threads; taskset and systemd's CPUAffinity bind the whole server",
				Example:  "setup.workers.cpu_affinity { 0, 1 }",
				Params:   []runtime.Param{{Name: "mapping", Type: runtime.TAny, Doc: "a list of numbers, or of lists of them"}}},
			{Name: "tasklet_pool.threads", Run: setupNothing,
				Doc:      "Sets the number of threads for tasks that block.",
				NoEffect: "a request has a goroutine of its own and may block",
				Example:  "setup.tasklet_pool.threads(4)",
				Params:   []runtime.Param{{Name: "threads", Type: runtime.TNumber}}},
			{Name: "log.timestamp", Run: setupNothing,
				Doc:      "Sets the form of the times in the log.",
				NoEffect: "the times in the log have one form (RFC 3339), which every log reader knows",
				Example:  `setup.log.timestamp "%d/%b/%Y %T %Z"`,
				Params:   []runtime.Param{{Name: "format", Type: runtime.TString, Doc: "for strftime"}}},
		},
		Untrusted: []string{
			"list", "when", "map", "map_cidr", "respond", "set_status", "log.write",
			"header.add", "header.append", "header.overwrite", "header.remove",
		},
		Actions: append(append(append(controlActions(), mappingActions()...), responseActions()...), headerActions()...),
		Options: []runtime.Option{
			logOption(),
			{Name: runtime.OptionServerTag, Type: runtime.TString, Default: "luaserve",
				Doc:     `Value of the Server header and of SERVER_SOFTWARE; "" sends none.`,
				Example: `setup.server.tag "my server"`},
			{Name: "server.name", Type: runtime.TString, Default: "",
				Doc:     "Host name for requests that name none (HTTP/1.0), in SERVER_NAME.",
				Example: `setup.server.name "example.net"`},
			{Name: "cgi.mangle_env_names", Type: runtime.TBool, Default: true,
				Doc:     `Whether a request header whose name has other characters than letters, digits and "-" gets an environment name of its own (X_A becomes HTTP__X_5FA), so that it cannot pass for X-A.`,
				Example: "setup.cgi.mangle_env_names(false)"},
			{Name: "buffer_request_body", Type: runtime.TBool, Default: true,
				Doc:      "Whether request bodies are kept on disk before a backend gets them.",
				NoEffect: "a body of known length is streamed to the application; one of unknown length is buffered, because CGI needs the length",
				Example:  "setup.buffer_request_body(false)"},
			{Name: runtime.OptionStrictPost, Type: runtime.TBool, Default: true,
				Doc:     "Whether a POST without Content-Length is answered with 411. It counts as set up, not per request.",
				Example: "setup.strict.post_content_length(false)"},
			{Name: runtime.OptionKeepAliveTimeout, Type: runtime.TNumber, Default: int64(0), Parse: parseKeepAlive,
				Doc:     "How many seconds a connection may wait for its next request; 0 leaves it to idle_timeout of the setup `limits`.",
				Example: "setup.keepalive.timeout(30)"},
			{Name: runtime.OptionKeepAliveRequests, Type: runtime.TNumber, Default: int64(0), Parse: parseKeepAlive,
				Doc:     "How many requests a connection may serve in all; 0 is no limit.",
				Example: "setup.keepalive.requests(100)"},
			{Name: optionLogHandling, Type: runtime.TBool, Default: false, Parse: parseLogHandling,
				Doc:     "Whether the log tells of each request what it was mapped to, who answered and how.",
				Example: "actions = { action.debug.log_request_handling(true), respond \"ok\" }"},
		},
	}
}

// maxKeepAlive keeps a number of seconds within what a time.Duration holds.
const maxKeepAlive = 1e9

func parseKeepAlive(_ *runtime.Builder, v runtime.Value) (any, error) {
	n, ok := v.Int()
	if !ok || n < 0 || n > maxKeepAlive {
		return nil, fmt.Errorf("expected a whole number of at least 0, got %s", v)
	}
	return n, nil
}

func setupWorkers(_ *runtime.Builder, args runtime.Args) error {
	if args.Int(0) < 1 {
		return fmt.Errorf("count: expected a positive number, got %d", args.Int(0))
	}
	return nil
}

func controlActions() []runtime.ActionDef {
	return []runtime.ActionDef{
		{Name: "list", New: newList,
			Doc:     "Runs actions one after another. A plain table of actions does the same.",
			Example: `actions = list { header.add("X-A", "1"), respond "hello" }`,
			Params:  []runtime.Param{{Name: "actions", Type: runtime.TActions, Optional: true, Doc: "actions, Lua functions or tables of them"}}},
		{Name: "when", New: newWhen,
			Doc:     "Runs one action when a condition holds and another when it does not.",
			Example: `actions = when(request.path:prefix "/old", { respond(410) }, { respond "new" })`,
			Params: []runtime.Param{
				{Name: "condition", Type: runtime.TCondition, Doc: "a condition, or a boolean variable such as physical.is_file"},
				{Name: "then", Type: runtime.TAction, Optional: true},
				{Name: "else", Type: runtime.TAction, Optional: true}}},
		{Name: "map", New: newMap,
			Doc:     "Runs the action whose key is equal to the value of a pattern.",
			Example: `actions = map("%{req.query}", { a = respond "A", default = respond(404) })`,
			Params: []runtime.Param{
				{Name: "pattern", Type: runtime.TPattern},
				{Name: "actions", Type: runtime.TPairs, Doc: `key or list of keys to action; "default" is for everything else`}}},
		{Name: "map_cidr", New: newMapCIDR,
			Doc:     "Runs the action of the most specific network that the client's address is in.",
			Example: `actions = map_cidr { ["10.0.0.0/8"] = respond "inside", all = respond(403) }`,
			Params:  []runtime.Param{{Name: "actions", Type: runtime.TPairs, Doc: `network or list of networks to action; "all" and "default" match every client`}}},
		{Name: "io.buffer_out", New: newNothing,
			Doc:      "Limits the memory for a response that waits for the client.",
			NoEffect: "a response is read as the client takes it, so there is no queue whose size could be limited",
			Example:  `actions = { action.io.buffer_out(65536), respond "ok" }`,
			Params:   []runtime.Param{{Name: "limit", Type: runtime.TNumber, Doc: "bytes"}}},
		{Name: "io.buffer_in", New: newNothing,
			Doc:      "Limits the memory for a request body that waits for the application.",
			NoEffect: "a request body is read as the application takes it, so there is no queue whose size could be limited",
			Example:  `actions = { action.io.buffer_in(65536), respond "ok" }`,
			Params:   []runtime.Param{{Name: "limit", Type: runtime.TNumber, Doc: "bytes"}}},
		{Name: "log.write", New: newLogWrite,
			Doc:     "Writes a message to the log.",
			Example: `actions = { log.write "%{req.remoteip} wants %{req.path}", respond "ok" }`,
			Params:  []runtime.Param{{Name: "message", Type: runtime.TPattern}}},
	}
}

// setupNothing runs a setup that is accepted and has nothing to do.
func setupNothing(*runtime.Builder, runtime.Args) error { return nil }

func newList(_ *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	if !args.Has(0) {
		return runtime.List{}, nil
	}
	return args.Action(0), nil
}

func newWhen(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	return &runtime.When{Cond: args.Condition(0), Then: args.Action(1), Else: args.Action(2)}, nil
}

// keysOf returns the keys of one entry of a map: one string, or a list of them.
func keysOf(p runtime.Pair) ([]string, error) {
	keys, ok := p.Key.Strings()
	if !ok || len(keys) == 0 {
		return nil, fmt.Errorf("a key must be a string or a list of strings, got %s", p.Key.Kind())
	}
	return keys, nil
}

// actionOf returns the action of one entry of a map.
func actionOf(p runtime.Pair) (runtime.Action, error) {
	node, ok := p.Value.Action()
	if !ok {
		return nil, fmt.Errorf("%s: expected an action, got %s", p.Key, p.Value.Kind())
	}
	return node, nil
}

// given leaves out the actions that the script did not give.
func given(children ...runtime.Child) []runtime.Child {
	return slices.DeleteFunc(children, func(c runtime.Child) bool { return c.Action == nil })
}

func newMap(_ *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	pattern := args.Pattern(0)
	byKey := map[string]runtime.Action{}
	var inside []runtime.Child
	for _, p := range args.Pairs(1) {
		act, err := actionOf(p)
		if err != nil {
			return nil, err
		}
		keys, err := keysOf(p)
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			byKey[k] = act
		}
		inside = append(inside, runtime.Child{Label: strings.Join(keys, ", "), Action: act})
	}
	return runtime.Containing(func(vr *runtime.VRequest) error {
		act, ok := byKey[pattern.Eval(vr, nil)]
		if !ok {
			act = byKey["default"]
		}
		if act == nil {
			return nil
		}
		return vr.Tail(act)
	}, inside...), nil
}

// newNothing makes an action that is accepted and has nothing to do.
func newNothing(*runtime.Builder, runtime.Args) (runtime.Action, error) { return runtime.List{}, nil }

func newLogWrite(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	pattern, bounded := args.Pattern(0), b.BoundsLog()
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		if text := pattern.Eval(vr, nil); !bounded || vr.MayLog(len(text)) {
			vr.Log().Info(text)
		}
		return nil
	}), nil
}
