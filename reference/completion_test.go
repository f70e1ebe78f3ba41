package reference_test

import (
	"strings"
	"testing"

	"luaserve/bindings"
	"luaserve/reference"
	"luaserve/scripts"
)

func TestCompletions(t *testing.T) {
	plugins, err := reference.ReadPlugins(scripts.FS)
	if err != nil {
		t.Fatal(err)
	}
	all := reference.New(bindings.Modules(), plugins...).Completions()
	find := func(scope, name string) *reference.Completion {
		for i := range all {
			if all[i].Scope == scope && all[i].Name == name {
				return &all[i]
			}
		}
		return nil
	}
	for _, c := range []struct {
		scope, name, title, snippet, object string
	}{
		{"", "docroot", "docroot(paths)", `docroot "${paths}"`, ""},
		{"action", "docroot", "docroot(paths)", `docroot "${paths}"`, ""},
		{"", "when", "when(condition, [then], [else])", "when(${condition}, { ${then} })", ""},
		{"", "header.add", "header.add(name, value)", `header.add("${name}", "${value}")`, ""},
		{"", "static", "static()", "static()", ""},
		{"", "core.wsgi", "core.wsgi(prefix, app)", `core.wsgi("${prefix}", { ${app} })`, ""},
		{"", "request.path", "request.path", "request.path", ""},
		{"", "request.header", `request.header["name"]`, `request.header["${name}"]`, ""},
		{"", "all", "all", "all { ${conditions} }", ""},
		{"operator", "prefix", ":prefix(value)", `prefix "${value}"`, ""},
		{"setup", "listen", "listen(address)", `listen "${address}"`, ""},
		{"setup", "openssl", "openssl(options)", `openssl { ${options} }`, ""},
		{"", "fastcgi", "fastcgi(socket)", `fastcgi "${socket}"`, ""},
		{"", "balance.rr", "balance.rr(backends)", `balance.rr { ${backends} }`, ""},
		{"setup", "server.tag", "server.tag", `server.tag "${value}"`, ""},
		{"vrequest", "req", "vrequest.req", "req", "request"},
		{"vrequest", "handle_direct", "vrequest:handle_direct()", "handle_direct()", ""},
		{"", "lighty", "lighty", "lighty", "lighty"},
		{"lighty", "md5", "lighty.md5(s)", `md5("${s}")`, ""},
	} {
		got := find(c.scope, c.name)
		if got == nil {
			t.Errorf("%q in the scope %q is missing", c.name, c.scope)
			continue
		}
		if got.Title != c.title || got.Snippet != c.snippet || got.Object != c.object || got.Doc == "" {
			t.Errorf("%s: got %+v", c.name, *got)
		}
	}
	for _, c := range [][2]string{{"", "listen"}, {"", "io.throttle"}, {"setup", "docroot"}} {
		if find(c[0], c[1]) != nil {
			t.Errorf("%q must not be offered in the scope %q", c[1], c[0])
		}
	}
	seen := map[string]bool{}
	for _, c := range all {
		key := c.Scope + " " + c.Name + " " + string(c.Kind)
		if seen[key] {
			t.Errorf("%s is offered twice", key)
		}
		seen[key] = true
		if strings.Count(c.Snippet, "{") != strings.Count(c.Snippet, "}") {
			t.Errorf("%s: the snippet %q is not balanced", c.Name, c.Snippet)
		}
	}
}
