package bindings_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"luaserve/runtime"
)

// smallBodies lets no more than 1000 bytes of a body be held in memory.
func smallBodies(cfg *runtime.Config) { cfg.MaxBufferedBody = 1000 }

// chunked is a request whose body has no known length.
func chunked(target, body string) *http.Request {
	r := httptest.NewRequest("POST", target, io.MultiReader(strings.NewReader(body)))
	r.ContentLength = -1
	r.TransferEncoding = []string{"chunked"}
	return r
}

func TestLuaChunkQueue(t *testing.T) {
	runLuaCases(t, []luaCase{
		{"add", `
			vr.out:add("str "); vr.out:add(12); vr.out:add(""); vr.out:add("|"); out()
			try("nil", vr.out.add, vr.out, nil); try("none", vr.out.add, vr.out)
			try("table", vr.out.add, vr.out, { filename = "@DIR@/letters.txt" }); try("bool", vr.out.add, vr.out, true)
			try("in Lua", function() vr.out:add() end)
			out(type(vr.out.is_closed), vr.out.is_closed); vr.out.is_closed = false; out(vr.out.is_closed)`, `
str 12|
nil: false chunkqueue add expects simple string
none: false bad argument #2 to '?' (value expected)
table: false chunkqueue add expects simple string
bool: false chunkqueue add expects simple string
in Lua: false @DIR@/site.lua:14: bad argument #2 to '?' (value expected)
boolean true
false
`},
		{"add_file", `
			local function file(...) vr.out:add("["); local ok, e = pcall(vr.out.add_file, vr.out, ...); out("]", ok, e) end
			local f = "@DIR@/letters.txt"
			file(f); file(f, 0); file(f, 6); file(f, "6"); file(f, 2, 3); file(f, 0, 10); file(f, 3, 0)
			file(f, 0, 11); file(f, 10); file(f, -1); file(f, 0, -1); file(f, "x"); file(f, 0, {}); file(nil); file()
			file("@DIR@/none"); file("@DIR@"); file("@DIR@/empty.txt")`, `
[abcdefghij] true nil
[abcdefghij] true nil
[ghij] true nil
[ghij] true nil
[cde] true nil
[abcdefghij] true nil
[] true nil
[] false chunkqueue:add: Invalid start/length values
[] false chunkqueue:add: Invalid start/length values
[] false chunkqueue:add: Invalid start/length values
[] false chunkqueue:add: Invalid start/length values
[] false chunkqueue:add expects number (or nothing) as second parameter
[] false chunkqueue:add expects number (or nothing) as third parameter
[] false chunkqueue:add expects filename as first parameter
[] false bad argument #2 to '?' (value expected)
[] false chunkqueue:add couldn't open file: @DIR@/none
[] false chunkqueue:add couldn't open file: @DIR@
[] false chunkqueue:add: Invalid start/length values
`},
		{"a file below a root", `
			vr.out:add { filename = "letters.txt", root = "@DIR@" }; out()
			vr.out:add { filename = "@DIR@/empty.txt", root = "@DIR@" }
			for _, f in ipairs { "../x", "/etc/passwd", "none" } do
				local ok, e = pcall(vr.out.add, vr.out, { filename = f, root = "@DIR@" })
				out(ok, e:match("couldn't open file") ~= nil)
			end`, `
abcdefghij
false true
false true
false true
`},
		{"reset and skip_all", `
			out("a"); vr.out:reset(); out("b"); vr.out:skip_all(); out("c")`, `
c
`},
		{"steal_all", `
			try("nil", vr.out.steal_all, vr.out, nil); try("string", vr.out.steal_all, vr.out, "x"); try("vr", vr.out.steal_all, vr.out, vr)
			vr.out:steal_all(vr.out); vr["in"]:add("in"); vr.out:steal_all(vr["in"]); out(#vr["in"])`, `
nil: false Expected source chunkqueue to steal from
string: false Expected source chunkqueue to steal from
vr: false Expected source chunkqueue to steal from
in0
`},
		{"read what was written", `
			out("abc"); vr.out:add_file("@DIR@/letters.txt")
			local n, a, b, c, d = #vr.out, vr.out:read(2), vr.out:read(), vr.out:read(), vr.out:read(1)
			out(n, a, (b:gsub("\n", ",")), "[" .. c .. "]", d, #vr.out)
			try("bad", function() vr.out:read("x") end)`, `
14 ab c,abcdefghij [] nil 0
bad: false @DIR@/site.lua:14: chunkqueue:read expects a number of bytes from 0 to 67108864
`},
	})
}

func TestLuaRequestBody(t *testing.T) {
	for _, tt := range []struct{ name, code, want string }{
		{"read", `out(vr["in"].is_closed, #vr["in"], vr["in"]:read(4), #vr["in"], vr["in"]:read(), #vr["in"], vr["in"].is_closed, vr["in"]:read(1))`,
			"false 8 the  4 body 0 true nil\n"},
		{"not stolen before it was read", `vr.out:steal_all(vr["in"]); out(#vr["in"])`, "8\n"},
		{"put back", `local b = vr["in"]:read(); vr["in"]:add(b:upper()); out(#vr["in"], vr["in"]:read())`, "8 THE BODY\n"},
		{"dropped", `vr["in"]:skip_all(); out(#vr["in"], vr["in"]:read())`, "0 \n"},
		{"length", `out(req.content_length, vr["in"]:read(3), req.content_length, #vr["in"])`, "8 the 8 5\n"},
		{"behind a filter", `
			local F = { handle = function(self, vr, outq, inq) local s = inq:read(); if s ~= "" then outq:add("<" .. s .. ">") end; outq.is_closed = inq.is_closed end }
			vr:add_filter_in(F); out(#vr["in"], vr["in"]:read())`, "10 <the body>\n"},
	} {
		for _, kind := range []string{"length", "chunked"} {
			t.Run(tt.name+" "+kind, func(t *testing.T) {
				site := luaScript(t, inHandler(tt.code))
				r := chunked("/", "the body")
				if kind == "length" {
					r = httptest.NewRequest("POST", "/", strings.NewReader("the body"))
				}
				if got := text(site.do(r)); got != tt.want {
					t.Errorf("got %q, want %q\n%s", got, tt.want, site.log)
				}
			})
		}
	}
}

func TestLuaRequestBodyTooLarge(t *testing.T) {
	for _, code := range []string{`vr["in"]:read()`, `local n = vr["in"]:read(1000); n = vr["in"]:read()`} {
		site := luaScript(t, inHandler(code), smallBodies)
		if r := site.post("/", strings.Repeat("x", 2500)); r.StatusCode != 413 {
			t.Errorf("%s: status %d\n%s", code, r.StatusCode, site.log)
		}
	}
	site := luaScript(t, inHandler(`local n = 0; repeat local s = vr["in"]:read(1000); n = n + #(s or "") until not s; out(n)`), smallBodies)
	if got := text(site.post("/", strings.Repeat("x", 2500))); got != "2500\n" {
		t.Errorf("piece by piece: %q", got)
	}
}

func TestLuaTempFile(t *testing.T) {
	site := luaScript(t, inHandler(`vr.out:add_temp_file("@DIR@/temp")`))
	site.write(t, "temp", "temporary\n")
	if got := text(site.get("/")); got != "temporary\n" {
		t.Errorf("got %q\n%s", got, site.log)
	}
	if _, err := os.Stat(filepath.Join(site.dir, "temp")); err == nil {
		t.Error("the file is still there")
	}
}

// A handler behind a backend may read, drop or change what the backend sends.
func TestLuaBackendBody(t *testing.T) {
	for _, tt := range []struct{ name, code, want string }{
		{"read", `local b = vr.out:read(); vr.out:add(b:upper())`, "STREAMED"},
		{"length", `vr.out:add(tostring(#vr.out))`, "streamed8"},
		{"dropped", `vr.out:reset(); vr.out:add("other")`, "other"},
		{"behind", `vr.out:add(", more")`, "streamed, more"},
		{"stays", `local f = vr:add_filter_out { handle = function(self, vr, outq, inq) outq:steal_all(inq); outq.is_closed = inq.is_closed end }; f.out:steal_all(vr.out)`, "streamed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			site := luaScript(t, `actions = { test_stream "streamed", function(vr) `+tt.code+` end }`, withTestActions)
			r := site.get("/")
			if got := text(r); got != tt.want {
				t.Errorf("got %q, want %q\n%s", got, tt.want, site.log)
			}
		})
	}
}

// withTestActions adds test_stream, a backend that streams a text.
func withTestActions(cfg *runtime.Config) {
	cfg.Modules = append(cfg.Modules, &runtime.Module{Name: "test", Actions: []runtime.ActionDef{{
		Name: "test_stream", Params: []runtime.Param{{Name: "text", Type: runtime.TString}},
		New: func(_ *runtime.Builder, args runtime.Args) (runtime.Action, error) {
			body := args.Str(0)
			return runtime.ActionFunc(func(vr *runtime.VRequest) error {
				vr.HandleBackend(200, io.NopCloser(strings.NewReader(body)))
				return nil
			}), nil
		},
	}}})
}
