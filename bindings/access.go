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
		Actions: []runtime.ActionDef{
			{Name: "access.check", New: newAccessCheck,
				Doc:     "Answers with 403 unless the most specific network that the client's address is in is an allowed one.",
				Example: `actions = { access.check { allow = { "127.0.0.0/8", "10.0.0.0/8" }, deny = { "10.6.6.6" } }, respond "inside" }`,
				Params:  []runtime.Param{{Name: "rules", Type: runtime.TPairs, Doc: `"allow" and "deny", each a list of networks or "all"`}}},
			{Name: "access.deny", New: newDeny(http.StatusForbidden),
				Doc:     "Answers with 403.",
				Example: `actions = { when(request.path:prefix "/private/", { access.deny() }), respond "public" }`},
		},
	}
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

func newAccessCheck(_ *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	var nets networks[bool]
	for _, p := range args.Pairs(0) {
		verb, _ := p.Key.Str()
		if verb != "allow" && verb != "deny" {
			return nil, fmt.Errorf(`unknown key %s; expected "allow" or "deny"`, p.Key)
		}
		_, isList := p.Value.List()
		texts, ok := p.Value.Strings()
		if !isList || !ok {
			return nil, fmt.Errorf("%s: expected a list of networks, got %s", verb, p.Value.Kind())
		}
		for _, text := range texts {
			if err := nets.add(text, verb == "allow"); err != nil {
				return nil, fmt.Errorf("%s: %w", verb, err)
			}
		}
	}
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		if allowed, known := nets.find(vr.Con.Remote.Addr()); !known || !allowed {
			deny(vr, http.StatusForbidden)
		}
		return nil
	}), nil
}
