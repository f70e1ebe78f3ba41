package lint_test

import (
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"luaserve/bindings"
	"luaserve/lint"
	"luaserve/runtime"
	"luaserve/scripts"
)

// check loads a script as site.lua of a new folder and returns what lint says.
func check(t *testing.T, script string) (findings []lint.Finding, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "site.lua")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := runtime.Load(file, runtime.Config{
		Modules: bindings.Modules(), Scripts: scripts.FS, Log: slog.New(slog.DiscardHandler), Inspect: true,
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, script)
	}
	defer p.Close()
	return lint.Check(p, lint.Options{Connect: (&net.Dialer{}).DialContext}), file
}

// say prints findings in short: L001:2:5.
func say(findings []lint.Finding) string {
	out := make([]string, len(findings))
	for i, f := range findings {
		out[i] = fmt.Sprintf("%s:%d:%d", f.Rule.Code, f.Pos.Line, f.Column)
	}
	return strings.Join(out, " ")
}

// Each rule finds its wrong example and nothing else, and nothing is wrong with the right one.
func TestEveryRuleFindsItsExample(t *testing.T) {
	for _, r := range lint.Rules()[1:] { // the first is for scripts that do not load
		t.Run(r.Code, func(t *testing.T) {
			found, _ := check(t, r.Wrong)
			if len(found) != 1 || found[0].Rule != r {
				t.Errorf("the wrong example: got %s\n%s\n%v", say(found), r.Wrong, found)
			}
			if found, _ := check(t, r.Right); len(found) != 0 {
				t.Errorf("the right example: got %s\n%s\n%s", say(found), r.Right, found[0].Msg)
			}
		})
	}
}

func TestEveryRuleIsExplained(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range lint.Rules() {
		if !regexp.MustCompile(`^L\d{3}$`).MatchString(r.Code) || seen[r.Code] || seen[r.Name] {
			t.Errorf("code %q, name %q", r.Code, r.Name)
		}
		seen[r.Code], seen[r.Name] = true, true
		if !strings.HasSuffix(r.Summary, ".") || !strings.HasSuffix(r.Why, ".") || r.Silent != "" && !strings.HasSuffix(r.Silent, ".") {
			t.Errorf("%s: sentences end with a full stop", r.Code)
		}
		if lint.Lookup(strings.ToLower(r.Code)) != r || lint.Lookup(r.Name) != r {
			t.Errorf("%s is not found", r.Code)
		}
	}
	if lint.Lookup("L999") != nil {
		t.Error("L999 is found")
	}
}

// cases are scripts with the findings that they should have. "" is none.
var cases = []struct{ name, script, want string }{
	{"answers in one branch", `actions = { when(request.path:eq "/a", { respond "a" }), respond "b" }`, ""},
	{"answers in both branches", "actions = { when(request.path:eq '/a', { respond 'a' }, { respond 'b' }),\n respond 'c' }", "L001:2:2"},
	{"two on one line", `actions = { respond "a", respond "b" }`, "L001:1:26"},
	{"a shared action that acts somewhere", `local hello = respond "hello"
actions = { when(request.path:eq "/a", { respond "a", hello }), hello }`, ""},
	{"a shared action that never acts", `local hello = respond "hello"
actions = { respond "a", hello }`, "L001:1:15"},
	{"a function that makes rules", `local function rule(path, first)
  return when(request.path:eq(path), { first, respond "rule" })
end
actions = { rule("/a", respond "a"), rule("/b", header.add("X", "1")) }`, ""},
	{"accel takes the answer back", `actions = { respond "a", accel.redirect { respond "b" }, respond "c" }`, ""},
	{"a redirect that always redirects", `actions = { redirect "/x", respond "b" }`, "L001:1:28"},
	{"a redirect that may not", `actions = { redirect { "^/a", "/x" }, respond "b" }`, ""},
	{"auth for a part", `actions = { when(request.path:prefix "/pub", { respond "pub" }), access.check { allow = { "127.0.0.1" } }, respond "x" }`, ""},
	{"a filter behind the answer", `actions = { respond "a", deflate(), expire "access 1 week", set_status(404) }`, ""},
	{"wide before narrow", `actions = {
  when(request.path:prefix "/a", { respond "wide" }),
  header.add("X", "1"),
  when(request.path:eq "/a/b", { header.add("Y", "1"), respond "narrow" }),
}`, "L004:4:56"},
	{"wide before narrow, with a rewrite between", `actions = {
  when(request.path:prefix "/a", { respond "wide" }),
  rewrite("^/old/(.*)", "/a/$1"),
  when(request.path:eq "/a/b", { respond "narrow" }),
}`, ""},
	{"wide before narrow, with a function between", `actions = {
  when(request.path:prefix "/a", { respond "wide" }), function(vr) vr.req.uri.path = "/a/b" end,
  when(request.path:eq "/a/b", { respond "narrow" }),
}`, ""},
	{"wide that only changes", `actions = { when(request.path:prefix "/a", { header.add("X", "1") }), when(request.path:eq "/a/b", { respond "b" }), respond "c" }`, ""},
	{"alias behind docroot", `setup.mime_types "default"
actions = { docroot "/", alias { ["/x"] = "/usr" }, static() }`, ""},
	{"docroot twice, used between", `setup.mime_types "default"
actions = { docroot "/", when(physical.is_file, { static() }), docroot "/usr", static() }`, ""},
	{"docroot for some", `setup.mime_types "default"
actions = { docroot "/", when(request.host:eq "a", { docroot "/usr" }), static() }`, ""},
	{"docroot for a backend", `actions = { docroot "/", function(vr) end }`, ""},
	{"docroot in a pattern", `actions = { docroot "/", header.add("X", "%{phys.path}") }`, ""},
	{"rewrite for a backend", `setup.mime_types "default"
actions = { docroot "/", rewrite("^/old/(.*)", "/new/$1"), static(), function(vr) end }`, ""},
	{"rewrite and docroot again", `setup.mime_types "default"
actions = { docroot "/", when(physical.is_file:isnot(), { rewrite("^/old/(.*)", "/new/$1"), docroot "/" }), static() }`, ""},
	{"static in a function that has no docroot", `setup.mime_types "default"
actions = { function(vr) end, static() }`, ""},
	{"types in a handler", `actions = { docroot "/", static(), function(vr) end }`, ""},
	{"the response behind static", `setup.mime_types "default"
actions = { docroot "/", static(), when(response.status:eq(404), { header.add("X", "1") }) }`, ""},
	{"the response behind another test", `actions = { when(all { request.is_handled, response.status:eq(404) }, { header.add("X", "1") }), respond "x" }`, ""},

	{"equal twice in a chain", `actions = when(request.path:eq "/a", { respond "a" },
  when(request.path:eq "/b", { respond "b" },
  when(request.path:eq "/a", { respond "c" })))`, "L021:3:24"},
	{"suffix hidden", `actions = when(request.path:suffix ".gz", { respond "a" },
  when(request.path:suffix ".tar.gz", { respond "b" }))`, "L021:2:28"},
	{"eq behind regex", `actions = when(request.path:match "^/a", { respond "a" },
  when(request.path:eq "/ab", { respond "b" }))`, "L021:2:24"},
	{"other variable", `actions = when(request.path:eq "/a", { respond "a" }, when(request.raw_path:eq "/a", { respond "b" }))`, ""},
	{"other header", `actions = when(request.header["A"]:eq "/a", { respond "a" }, when(request.header["B"]:eq "/a", { respond "b" }))`, ""},
	{"narrow first", `actions = when(request.path:eq "/a/b", { respond "a" }, when(request.path:prefix "/a", { respond "b" }))`, ""},
	{"networks", `actions = when(request.remoteip:ip "10.0.0.0/8", { respond "a" },
  when(request.remoteip:ip "10.1.0.0/16", { respond "b" }))`, "L021:2:28"},
	{"networks, narrow first", `actions = when(request.remoteip:ip "10.1.0.0/16", { respond "a" }, when(request.remoteip:ip "10.0.0.0/8", { respond "b" }))`, ""},
	{"numbers", `actions = when(request.localport:ge(80), { respond "a" },
  when(request.localport:eq(443), { respond "b" }))`, "L021:2:29"},
	{"numbers that overlap", `actions = when(request.localport:gt(80), { respond "a" }, when(request.localport:ge(80), { respond "b" }))`, ""},
	{"the opposite is always true", `actions = when(request.path:prefix "/a", { respond "a" },
  when(request.path:notprefix "/a", { respond "b" }))`, "L020:2:31"},
	{"inside of the same", `actions = when(request.path:prefix "/a/b", {
  when(request.path:prefix "/a", { respond "a" }, { respond "b" }) })`, "L020:2:28"},
	{"inside of the same, behind a rewrite", `actions = when(request.path:prefix "/a/b", { rewrite "/x",
  when(request.path:prefix "/a", { respond "a" }, { respond "b" }) })`, ""},
	{"inside of the same, in a list", `actions = when(request.path:prefix "/a/b", { header.add("X", "1"), server.tag "x",
  when(request.path:prefix "/c", { respond "a" }, { respond "b" }) })`, "L020:2:28"},
	{"the host of the entry", `actions = vhost.map { ["a.test"] = when(request.host:eq "b.test", { respond "a" }), default = respond(404) }`, "L020:1:57"},
	{"contradiction in nested all", `actions = when(all { request.path:prefix "/a", all { request.path:suffix ".x", request.path:eq "/b.x" } }, { respond "a" })`, "L022:1:16"},
	{"any that covers everything", `actions = when(any { request.path:eq "/a", request.path:ne "/a" }, { respond "a" })`, "L020:1:16"},
	{"none of two", `actions = when(none { request.path:eq "/a", request.path:eq "/b" }, { respond "a" })`, ""},
	{"different letters", `actions = when(any { request.path:eq "/a", request.path:eq "/A" }, { respond "a" })`, ""},

	{"lower-case method", `actions = when(request.method:eq "get", { respond "a" })`, "L024:1:34"},
	{"own method", `actions = when(request.method:eq "purge", { respond "a" })`, ""},
	{"boolean as text", `actions = when(physical.is_file:eq "true", { respond "a" })`, "L024:1:36"},
	{"path without slash", `actions = when(any { request.path:prefix "a", request.path:eq "*" }, { respond "a" })`, "L024:1:42"},
	{"network as text", `actions = when(request.remoteip:eq "10.0.0.0/8", { respond "a" })`, "L024:1:36"},
	{"path set by a function", `actions = { function(vr) vr.req.uri.path = "a" end, when(request.path:eq "a", { respond "a" }) }`, ""},
	{"dollar in the middle", `actions = when(request.path:match "/a$/b", { respond "a" })`, "L025:1:35"},
	{"alternatives", `actions = when(request.path:match "^(a|/b)", { respond "a" })`, ""},
	{"empty lines", `actions = when(request.path:match "^/a$|^/b$", { respond "a" })`, ""},

	{"alias twice", `setup.mime_types "default"
actions = { docroot "/", alias { { "/a/", "/usr" }, { "/a", "/usr" } }, static() }`, "L030:2:55"},
	{"alias beside", `setup.mime_types "default"
actions = { docroot "/", alias { { "/a", "/usr" }, { "/ab", "/usr" } }, static() }`, ""},
	{"host with port", `actions = vhost.map {
  ["a.test:8080"] = respond "a" }`, "L032:2:4"},
	{"host of IPv6", `actions = vhost.map { ["[::1]"] = respond "a" }`, ""},
	{"every host first", `actions = vhost.map_regex { { ".*", respond "a" }, { "b", respond "b" } }`, "L033:1:54"},
	{"hosts by their end", `actions = vhost.map_regex { { "\\.test$", respond "a" }, { "^a\\.test$", respond "b" } }`, "L033:1:60"},
	{"hosts that may differ", `actions = vhost.map_regex { { "^a", respond "a" }, { "a", respond "b" }, { "(?i)B", respond "c" }, { "b", respond "d" } }`, ""},
	{"map to the same", `local a = respond "a"
actions = map("%{req.query}", { { { "a", "b" }, a }, { "a", a } })`, ""},
	{"networks twice", `actions = map_cidr { { "10.0.0.1/8", respond "a" }, { "10.0.0.0/8", respond "b" } }`, "L034:1:0"},
	{"mount with a redirect", `lua.plugin "core.lua"
actions = { when(request.path:eq "/trac", { redirect "/trac/" }), core.wsgi("/trac/", { respond "trac" }) }`, ""},

	{"tested global", `actions = function(vr) if debug_mode then vr:handle_direct() end end`, ""},
	{"global of _G", `_G.limit = 5
actions = function(vr) if limit > 4 then vr:handle_direct() end end`, ""},
	{"REQ and libraries", `actions = function(vr) REQ.x = string.format("%d", math.floor(1.5)); lighty.print(tostring(vr)) end`, ""},
	{"bare action in a handler", `actions = function(vr) vr:enter_action(respond("x")) end`, "L051:1:40"},
	{"action in a handler", `actions = function(vr) vr:enter_action(action.respond("x")) end`, ""},
	{"helper of a handler", `local function help(vr) vr.resp.status = stauts end
actions = function(vr) help(vr) end`, "L050:1:42"},
	{"global function for the load", `function page(text) return respond(text) end
actions = page "x"`, ""},
	{"global shared by two functions of a handler", `local function set() name = "x" end
actions = function(vr) set() vr.resp.status = #name end`, ""},
	{"for several results", `local _, b = ("x"):find("x")
local c, d = pcall(error)
actions = when(request.path:eq("/" .. tostring(b) .. tostring(d)), { respond "a" })`, ""},
	{"results of which the last is unused", `local a, b = ("x"):find("x")
actions = when(request.path:eq("/" .. a), { respond "a" })`, "L053:1:10"},
	{"function that calls itself", `local function f(n) return f(n) end
actions = respond "x"`, "L054:1:16"},
	{"parameters", `actions = function(vr) for i, v in pairs({}) do end end`, ""},

	{"plain action", `header.add("X", "1")
actions = respond "x"`, "L060:1:1"},
	{"made in a handler", `actions = function(vr) action.respond("x") end`, "L060:1:24"},
	{"setup", `listen "127.0.0.1:0"
module_load "mod_x"
actions = respond "x"`, "L082:2:1"},
	{"numbers and names", `local t = { [1] = "a", ["1"] = "b", x = 1, y = 2 }
actions = respond(t[1] .. t.x)`, ""},
	{"names twice", `local t = { x = "a",
  y = "b", x = "c" }
actions = respond(t.x .. t.y)`, "L061:2:12"},
	{"trim", `actions = function(vr) vr.resp.headers["X"] = vr.req.uri.path:match("^%s*(.-)%s*$") end`, ""},
	{"captures beside each other", `actions = function(vr) vr.req.uri.path:match("(.*)(.*)x") end`, "L062:1:46"},
	{"at the end", `actions = function(vr) vr.req.uri.path:match("^(.-)(.-)$") end`, "L062:1:46"},
	{"plain find", `actions = function(vr) vr.req.uri.path:find(".*.*x", 1, true) end`, ""},

	{"one of several folders", `setup.mime_types "default"
actions = { docroot("/does/not/exist", "/"), static() }`, ""},
	{"folder of the host", `setup.mime_types "default"
actions = { docroot "/does/not/exist/$0", static() }`, ""},
	{"ignored on the line", `actions = { respond "a", respond "b" } -- luaserve:ignore L001`, ""},
	{"ignored above", "actions = { respond 'a',\n-- it is a test: luaserve:ignore L002, L001\nrespond 'b' }", ""},
	{"another one ignored", `actions = { respond "a", respond "b" } -- luaserve:ignore L002`, "L001:1:26"},
}

func TestFindings(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			found, _ := check(t, c.script)
			if got := say(found); got != c.want {
				t.Errorf("got %q, want %q\n%s", got, c.want, c.script)
				for _, f := range found {
					t.Log(f.Msg)
				}
			}
		})
	}
}

// What luaserve itself has written has no mistakes.
func TestOwnScriptsAreClean(t *testing.T) {
	folders, err := filepath.Glob("../examples/*")
	if err != nil || len(folders) == 0 {
		t.Fatal(err)
	}
	files, _ := filepath.Glob("../examples/*/*.lua")
	starter, _ := filepath.Glob("../cmd/luaserve/*/*.lua")
	for _, file := range slices.Concat(files, starter) {
		p, err := runtime.Load(file, runtime.Config{
			Modules: bindings.Modules(), Scripts: scripts.FS, Log: slog.New(slog.DiscardHandler), Inspect: true,
		})
		if err != nil {
			continue // a part of a site
		}
		for _, f := range lint.Check(p, lint.Options{}) {
			if f.Rule.Severity != lint.Info && f.Rule.Code != "L070" { // their folders are where they are installed
				t.Errorf("%s: %s %s", f.Pos, f.Rule.Code, f.Msg)
			}
		}
		p.Close()
	}
}

var update = flag.Bool("update", false, "write docs/lints.md anew")

func TestPage(t *testing.T) {
	const file = "../docs/lints.md"
	if *update {
		if err := os.WriteFile(file, []byte(lint.Page()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(file); err != nil || string(have) != lint.Page() {
		t.Errorf("%s is stale (%v); go test ./lint -run Page -update writes it anew", file, err)
	}
}
