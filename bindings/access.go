package bindings

import (
	"fmt"
	"net/http"

	"luaserve/runtime"
)

func accessModule() *runtime.Module {
	return &runtime.Module{
		Name: "access",
		Doc:  "Lets clients in or keeps them out.",
		Options: []runtime.Option{
			{Name: "access.log_blocked", Type: runtime.TBool, Default: false,
				Doc:     "Whether the log tells of each client that was kept out.",
				Example: "setup.access.log_blocked(true)"},
			{Name: "access.redirect_url", Type: runtime.TString, Default: "",
				Doc:     `Where a client that is kept out is sent (302) instead of being answered with 403: a target as for redirect; "" sends it nowhere.`,
				Example: `setup.access.redirect_url "https://www.example.net/members-only"`},
		},
		Untrusted: []string{"access.check", "access.deny"},
		Actions: []runtime.ActionDef{
			{Name: "access.check", New: newAccessCheck,
				Doc:     "Answers with 403 unless the most specific network that the client's address is in is an allowed one.",
				Example: `actions = { access.check { allow = { "127.0.0.0/8", "10.0.0.0/8" }, deny = { "10.6.6.6" } }, respond "inside" }`,
				Params:  []runtime.Param{{Name: "rules", Type: runtime.TPairs, Options: describeOptions(accessRules, &networks[bool]{})}}},
			{Name: "access.deny", New: newAccessDeny,
				Doc:     "Answers with 403.",
				Example: `actions = { when(request.path:prefix "/private/", { access.deny() }), respond "public" }`},
		},
	}
}

// gate keeps clients out of what lies behind it.
type gate struct {
	log, target runtime.OptionRef
}

func newGate(b *runtime.Builder) gate {
	return gate{log: b.Option("access.log_blocked"), target: b.Option("access.redirect_url")}
}

// keepOut answers a request that nobody has answered yet.
func (g gate) keepOut(vr *runtime.VRequest) {
	if vr.IsHandled() {
		return
	}
	if vr.Option(g.log).(bool) {
		vr.Log().Info("access denied", "remote", vr.Con.Remote.Addr().String(), "host", vr.Request.URI.Host, "path", vr.Request.URI.Path)
	}
	if target := vr.Option(g.target).(string); target != "" {
		sendRedirect(vr, http.StatusFound, absoluteLocation(vr, target))
		return
	}
	deny(vr, http.StatusForbidden)
}

func newAccessDeny(b *runtime.Builder, _ runtime.Args) (runtime.Action, error) {
	g := newGate(b)
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		g.keepOut(vr)
		return nil
	}), nil
}

func newDeny(status int) func(*runtime.Builder, runtime.Args) (runtime.Action, error) {
	return func(*runtime.Builder, runtime.Args) (runtime.Action, error) {
		return runtime.ActionFunc(func(vr *runtime.VRequest) error {
			deny(vr, status)
			return nil
		}), nil
	}
}

func deny(vr *runtime.VRequest, status int) {
	if vr.HandleDirect() {
		vr.Response.Status = status
	}
}

var accessRules = []option[networks[bool]]{
	networksOption("allow", "networks that may go on", true),
	networksOption("deny", "networks that may not", false),
}

func networksOption(name, doc string, allowed bool) option[networks[bool]] {
	return option[networks[bool]]{name: name, typ: "string[]", many: true, doc: doc + `; "all" is any address`,
		set: func(nets *networks[bool], v runtime.Value) error {
			_, isList := v.List()
			texts, ok := v.Strings()
			if !isList || !ok {
				return fmt.Errorf("expected a list of networks, got %s", v.Kind())
			}
			for _, text := range texts {
				if err := nets.add(text, allowed); err != nil {
					return err
				}
			}
			return nil
		}}
}

func newAccessCheck(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	g := newGate(b)
	var nets networks[bool]
	if err := readOptions(&nets, accessRules, args.Pairs(0)); err != nil {
		return nil, err
	}
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		if allowed, known := nets.find(vr.Con.Remote.Addr()); !known || !allowed {
			g.keepOut(vr)
		}
		return nil
	}), nil
}
