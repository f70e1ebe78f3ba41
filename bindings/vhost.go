package bindings

import (
	"fmt"
	"strings"

	"luaserve/runtime"
)

func vhostModule() *runtime.Module {
	return &runtime.Module{
		Name:      "vhost",
		Doc:       "Chooses actions by the host name of the request.",
		Options:   []runtime.Option{debugOption("vhost.debug", "which entry the host of a request has found")},
		Untrusted: []string{"vhost.map", "vhost.map_regex"},
		Actions: []runtime.ActionDef{
			{Name: "vhost.map", New: newVhostMap,
				Doc:     "Runs the actions of the host that the request names.",
				Example: `actions = vhost.map { ["example.net"] = respond "a site", default = respond(404) }`,
				Params:  []runtime.Param{{Name: "hosts", Type: runtime.TPairs, Doc: `host name, in lower case, to action; "default" is for every other host`}}},
			{Name: "vhost.map_regex", New: newVhostMapRegex,
				Doc:     "Runs the actions of the first regular expression that matches the host name.",
				Example: `actions = vhost.map_regex { { "\\.example\\.net$", respond "a site" }, { "default", respond(404) } }`,
				Params:  []runtime.Param{{Name: "hosts", Type: runtime.TPairs, Doc: `regular expression to action, in order; "default" is for every other host`}}},
		},
	}
}

const defaultKey = "default"

func newVhostMap(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	hosts := map[string]runtime.Action{}
	var inside []runtime.Child
	for _, p := range args.Pairs(0) {
		name, ok := p.Key.Str()
		if !ok {
			return nil, fmt.Errorf("a host name must be a string, got %s", p.Key.Kind())
		}
		act, err := actionOf(p)
		if err != nil {
			return nil, err
		}
		name = strings.ToLower(name)
		if hosts[name] != nil {
			return nil, fmt.Errorf("the host %q is there twice", name)
		}
		hosts[name] = act
		inside = append(inside, runtime.Child{Label: name, Action: act})
	}
	fallback, debug := hosts[defaultKey], b.Option("vhost.debug")
	return runtime.Containing(func(vr *runtime.VRequest) error {
		act, entry := hosts[vr.Request.URI.Host], vr.Request.URI.Host
		if act == nil {
			act, entry = fallback, defaultKey
		}
		if vr.Option(debug).(bool) {
			logHost(vr, entry, act != nil)
		}
		if act == nil {
			return nil
		}
		return vr.Tail(act)
	}, inside...), nil
}

func logHost(vr *runtime.VRequest, entry string, found bool) {
	if !found {
		entry = "none"
	}
	vr.Log().Info("vhost", "host", vr.Request.URI.Host, "entry", entry)
}

func newVhostMapRegex(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	var regexes []*runtime.Regex
	var acts []runtime.Action
	var fallback runtime.Action
	var inside []runtime.Child
	for _, p := range args.Pairs(0) {
		expr, ok := p.Key.Str()
		if !ok {
			return nil, fmt.Errorf("a regular expression must be a string, got %s", p.Key.Kind())
		}
		act, err := actionOf(p)
		if err != nil {
			return nil, err
		}
		inside = append(inside, runtime.Child{Label: expr, Action: act})
		if expr == defaultKey {
			fallback = act
			continue
		}
		re, err := b.Regex(expr)
		if err != nil {
			return nil, err
		}
		regexes, acts = append(regexes, re), append(acts, act)
	}
	set, debug := b.RegexSet(regexes), b.Option("vhost.debug")
	return runtime.Containing(func(vr *runtime.VRequest) error {
		act, entry := fallback, defaultKey
		if i := set.Match(vr.Request.URI.Host); i >= 0 {
			act, entry = acts[i], regexes[i].String()
		}
		if vr.Option(debug).(bool) {
			logHost(vr, entry, act != nil)
		}
		if act == nil {
			return nil
		}
		return vr.Tail(act)
	}, inside...), nil
}
