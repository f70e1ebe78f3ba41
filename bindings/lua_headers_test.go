package bindings_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestLuaHeaders(t *testing.T) {
	const setup = `
			local h = resp.headers
			local function all(k) local l = {}; for n, v in h:list(k) do l[#l+1] = n .. ":" .. v end; return "{" .. table.concat(l, "|") .. "}" end
`
	runLuaCases(t, []luaCase{
		{"set and get", setup + `
			h["X-A"] = "1"; out(h["X-A"], h["x-a"], h:get("X-a"))
			h:insert("X-A", "2"); out(h["X-A"], all("x-a"))
			h:append("X-A", "3"); out(all("X-A"))
			h:append("X-New", "n"); out(all("X-New"))
			h:set("x-a", "9"); out(all("X-A"))
			h["X-A"] = nil; out(all("X-A"))
			h:insert("X-B", "1"); h:insert("X-B", "2"); h:unset("x-b"); out(all("X-B"))`, `
1 1 1
1, 2 {X-A:1|X-A:2}
{X-A:1|X-A:2, 3}
{X-New:n}
{x-a:9}
{}
{}
`},
		{"other values", setup + `
			h["X-Num"] = 5; out(h["X-Num"], type(h["X-Num"]))
			h["X-Bool"] = true; h:insert("X-I", nil); h:append("X-I", {}); out(all("X-Bool"), all("X-I"))
			h:insert("X-Empty", ""); out(all("X-Empty"))
			out("[" .. h["None"] .. "]", "[" .. h:get("None") .. "]")
			h["get"] = "field"; out(type(h["get"]), h:get("get"))
			try("set", h.set, h, "x"); try("get", h.get, h)`, `
5 string
{} {}
{X-Empty:}
[] []
function field
set: false bad argument #3 to '?' (value expected)
get: false bad argument #2 to '?' (value expected)
`},
		{"request", `
			req.headers:insert("x-a", "2")
			for k, v in req.headers:list("X-A") do out(k, v) end
			req.headers:clear(); local n = 0; for k in req.headers:pairs() do n = n + 1 end; out(n, uri.host)`, `
X-A 1
x-a 2
0 www.example.com
`},
		{"loops that change the list", setup + `
			for _, k in ipairs { "A", "B", "A", "C", "D" } do h:insert(k, k) end
			local l = {}
			for k in h:pairs() do l[#l+1] = k; if k == "A" or k == "C" then h:unset(k) end; if k == "D" then h:insert("E", "e") end end
			out(table.concat(l, ","), select("#", h:pairs()))
			for k, v in h:pairs() do h:set(k, v .. "!") end
			for k, v in h:pairs() do out(k, v) end`, `
A,B,C,D,E 1
B B!
D D!
E e!
`},
		{"invalid", setup + `
			try("CR LF", function() h["X-A"] = "a\r\nX-Evil: 1" end)
			try("NUL", function() h:insert("X-A", "a\0") end)
			try("append", function() h:append("X-A", "a\nb") end)
			try("name", function() h["X A"] = "1" end)
			try("empty name", function() h[""] = "1" end)
			try("request", function() req.headers:set("X", "\n") end)
			out(all("X-A"))`, `
CR LF: false @DIR@/site.lua:14: the value of the header X-A has a line break or a NUL in it: "a\r\nX-Evil: 1"
NUL: false @DIR@/site.lua:15: the value of the header X-A has a line break or a NUL in it: "a\x00"
append: false @DIR@/site.lua:16: the value of the header X-A has a line break or a NUL in it: "a\nb"
name: false @DIR@/site.lua:17: "X A" is no header name
empty name: false @DIR@/site.lua:18: "" is no header name
request: false @DIR@/site.lua:19: the value of the header X has a line break or a NUL in it: "\n"
{}
`},
	})
}

func TestLuaEnvironment(t *testing.T) {
	runLuaCases(t, []luaCase{
		{"empty at first", `
			for k, v in env:pairs() do out(k, v) end; out(env.HOME, env["REQUEST_METHOD"])`, `
nil nil
`},
		{"set and get", `
			env.A = "1"; env["B"] = 2; env:set("C", "3"); env:weak_set("A", "x"); env:weak_set("D", "4")
			env.E = true; env:weak_set("F", nil); env[{}] = "x"
			for k, v in env:pairs() do out(k, v) end
			env.A = nil; env:unset("B"); env:set("C", nil); out(env.A, env:get("B"), env.C, env.D)
			env.get = "entry"; out(type(env.get), env:get("get"))
			env:clear(); out(env.D)
			try("get", env.get, env); try("set", env.set, env, "x"); try("weak_set", env.weak_set, env, "x")
			try("NUL", function() env.A = "\0" end)`, `
A 1
B 2
C 3
D 4
nil nil nil 4
function entry
nil
get: false bad argument #2 to '?' (value expected)
set: false bad argument #3 to '?' (value expected)
weak_set: false bad argument #3 to '?' (value expected)
NUL: false @DIR@/site.lua:18: the environment entry "A" has a NUL in it
`},
		{"pairs is a picture of the moment", `
			for _, k in ipairs { "A", "B", "C" } do env[k] = k end
			local l = {}; for k in env:pairs() do l[#l+1] = k; env[k] = nil; env[k .. "2"] = "x" end; out(table.concat(l, ","))`, `
A,B,C
`},
	})
}

func TestLuaURI(t *testing.T) {
	runLuaCases(t, []luaCase{
		{"fields", `
			for _, k in ipairs { "raw", "raw_path", "raw_orig_path", "scheme", "authority", "path", "query", "host" } do out(k, uri[k]) end
			out(req.http_method, req.http_version, req.content_length)`, `
raw /a%20b?x=%31
raw_path /a%20b?x=%31
raw_orig_path /a%20b?x=%31
scheme http
authority www.example.com:8080
path /a b
query x=%31
host www.example.com
GET HTTP/1.1 0
`},
		{"writing leads downwards only", `
			uri.path = "/new"; uri.query = "q"; out(uri.raw, uri.raw_path, uri.path, uri.query)
			uri.raw_path = "/c%41/../d?e"; out(uri.raw, uri.raw_path, uri.path, uri.query, uri.raw_orig_path)
			uri.raw = "http://h/i%20j?k"; out(uri.raw, uri.raw_path, uri.path, uri.query, uri.host)
			uri.authority = "u@Other.Example:99"; out(uri.authority, uri.host)
			uri.host = "Third.Example"; out(uri.authority, uri.host)
			uri.scheme = "https"; uri.raw_orig_path = "/o"; out(uri.scheme, uri.raw_orig_path)`, `
/a%20b?x=%31 /a%20b?x=%31 /new q
/a%20b?x=%31 /c%41/../d?e /d e /a%20b?x=%31
http://h/i%20j?k /i%20j?k /i j k www.example.com
u@other.example:99 other.example
u@other.example:99 Third.Example
https /o
`},
		{"what would be unsafe", `
			uri.path = "/a/../../etc\r\n\0"; out(uri.path)
			uri.path = "as/given//"; out(uri.path)
			uri.query = "a b\r\nc#"; out(uri.query)
			uri.raw_path = "/x\r\ny?z\0"; out(uri.raw_path, uri.path, uri.query)
			uri.raw = "/\n"; out(uri.raw); uri.raw_orig_path = "/\r"; out(uri.raw_orig_path)
			for _, v in ipairs { "../x", "a/b", "a\r\n", "u/../@h", ".." } do try(v, function() uri.host = v end) end
			out(uri.host)
			try("authority", function() uri.authority = "u\r\n@h" end)
			try("scheme", function() uri.scheme = "a b" end)`, `
/etc___
as/given//
a%20b%0d%0ac%23
/x%0d%0ay?z%00 /x__y z%00
/%0a
/%0d
../x: false @DIR@/site.lua:16: invalid host: "../x"
a/b: false @DIR@/site.lua:16: invalid host: "a/b"
` + "a\r\n" + `: false @DIR@/site.lua:16: invalid host: "a\r\n"
u/../@h: true nil
..: false @DIR@/site.lua:16: invalid host: ".."
h
authority: false @DIR@/site.lua:18: invalid authority: "u\r\n@h"
scheme: false @DIR@/site.lua:19: invalid scheme: "a b"
`},
		{"types", `
			try("nil", function() uri.path = nil end)
			try("number", function() uri.path = 12 end); out(uri.path)
			try("table", function() uri.path = {} end)
			try("bool", function() phys.path = true end)
			phys.path = 1.5; phys.doc_root = "/root"; phys.pathinfo = "/info"; out(phys.path, phys.doc_root, phys.pathinfo)
			try("NUL", function() phys.path = "/a\0" end)`, `
nil: false @DIR@/site.lua:11: bad argument #3 to '?' (string expected, got nil)
number: true nil
12
table: false @DIR@/site.lua:13: bad argument #3 to '?' (string expected, got table)
bool: false @DIR@/site.lua:14: bad argument #3 to '?' (string expected, got boolean)
1.5 /root /info
NUL: false @DIR@/site.lua:16: physical.path must not have a NUL in it: "/a\x00"
`},
	})
}

// A length that is not known in advance is counted; a body that is too large is a 413.
func TestLuaContentLength(t *testing.T) {
	site := luaScript(t, inHandler(`out(req.content_length, vr["in"]:read())`), smallBodies)
	for _, tt := range []struct {
		body   string
		status int
	}{{"", 200}, {"12345", 200}, {strings.Repeat("x", 2000), 413}} {
		r := site.do(chunked("/", tt.body))
		want := fmt.Sprintf("%d %s\n", len(tt.body), tt.body)
		if r.StatusCode != tt.status || (tt.status == 200 && text(r) != want) {
			t.Errorf("%d bytes: status %d\n%s", len(tt.body), r.StatusCode, site.log)
		}
	}
}
