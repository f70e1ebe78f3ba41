package bindings

import (
	"errors"
	"fmt"
	"net/http"

	"luaserve/runtime"
)

// responseActions answer requests themselves.
func responseActions() []runtime.ActionDef {
	return []runtime.ActionDef{
		{Name: "respond", New: newRespond,
			Doc:     "Answers the request with a status and a body, text/plain unless a Content-Type is set.",
			Example: `actions = respond(200, "hello %{req.host}")`,
			Params: []runtime.Param{
				{Name: "status", Type: runtime.TAny, Optional: true, Doc: "status code, 200 when it is left out"},
				{Name: "body", Type: runtime.TPattern, Optional: true}}},
		{Name: "set_status", New: newSetStatus,
			Doc:     "Changes the status of a request that has been handled.",
			Example: `actions = { respond "gone", set_status(410) }`,
			Params:  []runtime.Param{{Name: "status", Type: runtime.TNumber}}},
	}
}

func newRespond(_ *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	status := http.StatusOK
	var body *runtime.Pattern
	var err error
	switch v := args.Value(0); v.Kind() {
	case runtime.KindNone:
	case runtime.KindNumber:
		n, _ := v.Int()
		status = int(n)
		if args.Has(1) {
			body = args.Pattern(1)
		}
	case runtime.KindString:
		if args.Has(1) {
			return nil, errors.New("expected (status, body) or (body): the status comes first, and is a number")
		}
		text, _ := v.Str()
		if body, err = runtime.ParsePattern(text); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("expected a status or a body, got %s", v.Kind())
	}
	var fixed []byte
	if body != nil {
		if text, ok := body.Text(); ok {
			fixed, body = []byte(text), nil
		}
	}
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		if !vr.HandleDirect() {
			return nil
		}
		vr.Response.Status = status
		if body != nil {
			vr.Out.Add(body.Append(nil, vr, nil))
		} else {
			vr.Out.Add(fixed)
		}
		// an error status without a body gets the built-in page, which has a type of its own
		if !vr.Response.Header.Has("Content-Type") {
			vr.Response.Header.Set("Content-Type", "text/plain")
		}
		return nil
	}), nil
}

func newSetStatus(_ *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	status := int(args.Int(0))
	if status < 200 || status > 999 {
		return nil, fmt.Errorf("status: expected a number from 200 to 999, got %d", status)
	}
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		vr.Response.Status = status
		return nil
	}), nil
}

// headerActions change the headers of the response and of the request, and the environment.
func headerActions() []runtime.ActionDef {
	name := runtime.Param{Name: "name", Type: runtime.TString}
	value := runtime.Param{Name: "value", Type: runtime.TPattern}
	var defs []runtime.ActionDef
	for _, side := range []struct {
		prefix, doc string
		header      func(*runtime.VRequest) *runtime.Header
	}{
		{"header", "response", func(vr *runtime.VRequest) *runtime.Header { return &vr.Response.Header }},
		{"req_header", "request", func(vr *runtime.VRequest) *runtime.Header { return &vr.Request.Header }},
	} {
		get := side.header
		change := func(verb, doc string, do func(*runtime.Header, string, string)) runtime.ActionDef {
			return runtime.ActionDef{
				Name: side.prefix + "." + verb, Doc: fmt.Sprintf(doc, side.doc),
				Example: fmt.Sprintf(`actions = { %s.%s("X-Example", "%%{req.path}"), respond "ok" }`, side.prefix, verb),
				Params:  []runtime.Param{name, value}, New: newHeaderChange(get, do)}
		}
		defs = append(defs,
			change("add", "Adds a field to the %s header.", (*runtime.Header).Insert),
			change("append", `Appends ", value" to the last such field of the %s header, or adds one.`, (*runtime.Header).Append),
			change("overwrite", "Replaces the last such field of the %s header, or adds one.", (*runtime.Header).Overwrite),
			runtime.ActionDef{Name: side.prefix + ".remove", Doc: "Removes all such fields from the " + side.doc + " header.",
				Example: fmt.Sprintf(`actions = { %s.remove "X-Powered-By", respond "ok" }`, side.prefix),
				Params:  []runtime.Param{name}, New: newHeaderRemove(get)})
	}
	return append(defs, envActions(name, value)...)
}

func newHeaderChange(get func(*runtime.VRequest) *runtime.Header, do func(h *runtime.Header, name, value string)) func(*runtime.Builder, runtime.Args) (runtime.Action, error) {
	return func(_ *runtime.Builder, args runtime.Args) (runtime.Action, error) {
		name, value := args.Str(0), args.Pattern(1)
		if !runtime.ValidFieldName(name) {
			return nil, fmt.Errorf("name: %q is no header name", name)
		}
		return runtime.ActionFunc(func(vr *runtime.VRequest) error {
			text := value.Eval(vr, nil)
			if !runtime.ValidFieldValue(text) {
				return fmt.Errorf("the value of %s has a line break or a NUL in it: %q", name, text)
			}
			do(get(vr), name, text)
			return nil
		}), nil
	}
}

func newHeaderRemove(get func(*runtime.VRequest) *runtime.Header) func(*runtime.Builder, runtime.Args) (runtime.Action, error) {
	return func(_ *runtime.Builder, args runtime.Args) (runtime.Action, error) {
		name := args.Str(0)
		return runtime.ActionFunc(func(vr *runtime.VRequest) error {
			get(vr).Remove(name)
			return nil
		}), nil
	}
}

// envActions change the environment that backends are given.
func envActions(name, value runtime.Param) []runtime.ActionDef {
	return []runtime.ActionDef{
		{Name: "env.set", Params: []runtime.Param{name, value},
			Doc:     "Sets an entry of the environment; it replaces the CGI variable of that name.",
			Example: `actions = { env.set("INFO", "%{req.path}"), respond "ok" }`,
			New:     newEnvChange(func(vr *runtime.VRequest, name, value string) { vr.Env.Set(name, value) })},
		{Name: "env.add", Params: []runtime.Param{name, value},
			Doc:     "Sets an entry of the environment unless there is one.",
			Example: `actions = { env.add("INFO", "none"), respond "ok" }`,
			New: newEnvChange(func(vr *runtime.VRequest, name, value string) {
				if _, exists := vr.Env.Lookup(name); !exists {
					vr.Env.Set(name, value)
				}
			})},
		{Name: "env.remove", Params: []runtime.Param{name},
			Doc:     "Removes an entry from the environment.",
			Example: `actions = { env.remove "INFO", respond "ok" }`,
			New: func(_ *runtime.Builder, args runtime.Args) (runtime.Action, error) {
				name := args.Str(0)
				return runtime.ActionFunc(func(vr *runtime.VRequest) error {
					vr.Env.Unset(name)
					return nil
				}), nil
			}},
		{Name: "env.clear",
			Doc:     "Removes all entries from the environment.",
			Example: `actions = { env.clear(), respond "ok" }`,
			New: func(*runtime.Builder, runtime.Args) (runtime.Action, error) {
				return runtime.ActionFunc(func(vr *runtime.VRequest) error {
					vr.Env.Clear()
					return nil
				}), nil
			}},
	}
}

func newEnvChange(do func(vr *runtime.VRequest, name, value string)) func(*runtime.Builder, runtime.Args) (runtime.Action, error) {
	return func(_ *runtime.Builder, args runtime.Args) (runtime.Action, error) {
		name, value := args.Str(0), args.Pattern(1)
		return runtime.ActionFunc(func(vr *runtime.VRequest) error {
			do(vr, name, value.Eval(vr, nil))
			return nil
		}), nil
	}
}
