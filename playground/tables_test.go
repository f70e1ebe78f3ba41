package playground_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// Where options of a table can be written; "" where none can.
func TestEnclosingTable(t *testing.T) {
	module, err := os.ReadFile("web/src/tables.js")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := chromedp.NewContext(browser(t))
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	b := &tab{T: t, ctx: ctx}
	b.run(chromedp.Navigate("about:blank"))
	eval[bool](b, `import("data:text/javascript;base64,`+base64.StdEncoding.EncodeToString(module)+`").then((m) => { window.tables = m }), true`)
	b.wait("window.tables")
	for _, c := range []struct{ text, want string }{
		{`actions = fastcgi { `, `fastcgi 0`},
		{`actions = fastcgi { re`, `fastcgi 0`},
		{`actions = fastcgi { socket = "unix:/x", re`, `fastcgi 0`},
		{"action.fastcgi {\n  ", `action.fastcgi 0`},
		{`actions = { balance.rr { check = { in`, `balance.rr 0 check`},
		{`x = balance.rr { backends = { proxy "a{", { na`, `balance.rr 0 backends`},
		{`actions = { vhost.map { ["a"] = { fastcgi { socket = f(1, 2), re`, `fastcgi 0`},
		{`vhost.map { ["a"] = { re`, `vhost.map 0 ?`},
		{`userdir("x", { `, `userdir 1`},
		{`lua.handler("f.lua", { ttl = 1 }, { gre`, `lua.handler 2`},
		{`memcached.lookup({ key = "x" }, header.add("a", "b"), { doc`, `memcached.lookup 2`},
		{`actions = { re`, ``},
		{`fastcgi { socket = `, ``},
		{`fastcgi { socket = re`, ``},
		{`fastcgi { socket = 'a`, ``},
		{`fastcgi { socket = [[ a, b`, ``},
		{`fastcgi { -- re`, ``},
		{`fastcgi { --[[ a, re`, ``},
		{"fastcgi { socket = \"a\", -- the app's socket\n re", `fastcgi 0`},
		{"fastcgi { --[==[ } ]] ]==] re", `fastcgi 0`},
		{`fastcgi { socket = "a\"b{", re`, `fastcgi 0`},
		{`fastcgi { socket = [[a"b}]], re`, `fastcgi 0`},
		{`}}} { fastcgi { re`, `fastcgi 0`},
	} {
		text, err := json.Marshal(c.text)
		if err != nil {
			t.Fatal(err)
		}
		got := eval[string](b, `((at) => at ? [at.call, at.argument, ...at.path].join(" ") : "")(tables.enclosing(`+string(text)+`))`)
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.text, got, c.want)
		}
	}
}
