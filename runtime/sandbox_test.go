package runtime_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"luaserve/bindings"
	"luaserve/runtime"
	"luaserve/scripts"
)

// levels are the columns of the tables below.
var levels = []string{"trusted", "handler", "untrusted"}

// sandboxed is a site that has the same code in files of lua.handler at each level, at
// /trusted, /handler and /untrusted. Untrusted code has the directory "in"; beside it is
// the file "secret", and in it "public", the module "mod" and a link "out" to the secret.
type sandboxed struct {
	*site
	dir string
}

func newSandboxed(t *testing.T, code string) *sandboxed {
	t.Helper()
	dir := t.TempDir()
	in := filepath.Join(dir, "in")
	for _, err := range []error{
		os.Mkdir(in, 0o700),
		os.WriteFile(filepath.Join(dir, "secret"), []byte("secret"), 0o600),
		os.WriteFile(filepath.Join(dir, "secret.lua"), []byte("return 'secret'"), 0o600),
		os.WriteFile(filepath.Join(in, "public"), []byte("public"), 0o600),
		os.WriteFile(filepath.Join(in, "mod.lua"), []byte("return 'module'"), 0o600),
		os.Symlink(filepath.Join(dir, "secret"), filepath.Join(in, "out")),
		os.Symlink("../secret.lua", filepath.Join(in, "outlua.lua")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	code = strings.NewReplacer("DIR", dir).Replace(code)
	script := "actions = {\n"
	for _, level := range levels {
		file := filepath.Join(dir, level+".lua")
		if err := os.WriteFile(file, []byte(say+code), 0o600); err != nil {
			t.Fatal(err)
		}
		root := ""
		if level == "untrusted" {
			root = fmt.Sprintf(", root = %q", in)
		}
		script += fmt.Sprintf("when(request.path:prefix(%q), lua.handler(%q, { sandbox = %q%s })),\n", "/"+level, file, level, root)
	}
	log := &logBuffer{}
	p, err := runtime.Load(writeScript(t, script+"}"), runtime.Config{
		Modules: bindings.Modules(), Scripts: scripts.FS, Log: slog.New(slog.NewTextHandler(log, nil)),
		Host: map[string]runtime.HostValue{"host": {Value: func() string { return "of the host" }}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return &sandboxed{&site{p, log}, dir}
}

// TestSandboxEscapes tries what must not be possible at each level. In the columns is the
// beginning of what the code returns, or of the error: "no: " and a part of the message.
func TestSandboxEscapes(t *testing.T) {
	const refused = "is refused at the sandbox level"
	any := func(want string) [3]string { return [3]string{want, want, want} }
	trusted := func(want string) [3]string { return [3]string{want, "no: " + refused, "no: " + refused} }
	handler := func(want string) [3]string { return [3]string{want, want, "no: " + refused} }
	for _, tt := range []struct {
		code string
		want [3]string
	}{
		// the process
		{`os.exit(1)`, any("no: it would end the server")},
		{`return os.execute("exit 3") ~= 0`, trusted("true")},
		{`return io.popen("echo hi"):read()`, trusted("hi")},
		{`os.setenv("LUASERVE_TEST", "x") return "set"`, trusted("set")},
		{`return type(os.getenv("PATH"))`, handler("string")},
		{`return type(channel)`, any("nil")},
		{`return type(_printregs)`, any("nil")},
		{`return package.loadlib("x", "y")`, any("no: loadlib is not supported")},
		{`return io.read()`, [3]string{"nil", "nil", "no: " + refused}},
		{`return io.stdin:read()`, any("nil")},
		{`return action.cgi and type(action.cgi("/bin/sh"))`, trusted("userdata")},

		// files
		{`return io.open("DIR/secret"):read()`, [3]string{"secret", "secret", "no: attempt to index"}},
		{`return select(2, io.open("DIR/secret"))`, [3]string{"nil", "nil", "DIR/secret: it is outside of the directory that the script is confined to"}},
		{`return io.open("DIR/in/public"):read()`, any("public")},
		{`return io.open("public"):read()`, [3]string{"no: attempt to index", "no: attempt to index", "public"}},
		{`return select(2, io.open("../secret"))`, [3]string{"../secret: No such file", "../secret: No such file", "../secret: it is outside"}},
		{`return select(2, io.open("DIR/in/../secret"))`, [3]string{"nil", "nil", "DIR/in/../secret: it is outside"}},
		{`return select(2, io.open("DIR/in/out"))`, [3]string{"nil", "nil", "DIR/in/out: it is outside"}},
		{`return select(2, io.open("DIR/in/x\0/../public", "w"))`, any("DIR/in/x\x00/../public: ")},
		{`local f = io.open("DIR/new", "w") f:close() return os.remove("DIR/new")`, [3]string{"true", "true", "no: attempt to index"}},
		{`return select(2, os.remove("DIR/secret.gone"))`, [3]string{"DIR/secret.gone: No such", "DIR/secret.gone: No such", "DIR/secret.gone: it is outside"}},
		{`return select(2, os.rename("DIR/in/nothing", "DIR/elsewhere"))`, [3]string{"DIR/in/nothing: No such", "DIR/in/nothing: No such", "DIR/in/nothing: it is outside"}},
		{`return io.lines("DIR/secret")()`, [3]string{"secret", "secret", "no: outside of the directory"}},
		{`io.input("DIR/secret") return io.read()`, handler("secret")},
		{`return io.type(io.tmpfile())`, handler("file")},
		{`return type(os.tmpname())`, handler("string")},
		{`return loadfile("DIR/secret.lua")()`, [3]string{"secret", "secret", "no: attempt to call"}},
		{`return dofile("DIR/secret.lua")`, [3]string{"secret", "secret", "no: outside of the directory"}},
		{`return dofile("DIR/in/outlua.lua")`, [3]string{"secret", "secret", "no: outside of the directory"}},
		{`package.path = "DIR/?.lua" return require "secret"`, [3]string{"secret", "no: changing path", "no: changing path"}},
		{`return require "DIR/secret"`, [3]string{"no: not found", "no: not found", "no: not found"}},
		{`return require "mod"`, [3]string{"no: not found", "no: not found", "module"}},
		{`return require "outlua"`, any("no: not found")},
		{`return dofile("/dev/zero")`, [3]string{"no: no regular file", "no: no regular file", "no: outside of the directory"}},
		{`return (vr:stat("DIR/secret")).is_file`, [3]string{"true", "true", "no: outside of the directory"}},
		{`return (vr:stat("DIR/in/out")).is_file`, [3]string{"true", "true", "no: outside of the directory"}},
		{`vr.out:add_file("DIR/secret") return ""`, [3]string{"secret", "secret", "no: outside of the directory"}},
		{`vr.out:add_file("DIR/in/out") return ""`, [3]string{"secret", "secret", "no: outside of the directory"}},
		{`vr.out:add_temp_file("DIR/nothing") return ""`, [3]string{"no: couldn't open file", "no: couldn't open file", "no: outside of the directory"}},
		{`vr.out:add { filename = "secret", root = "DIR" } return ""`, [3]string{"secret", "secret", "no: outside of the directory"}},
		{`vr.out:add { filename = "public", root = "DIR/in" } return ""`, any("public")},

		// byte code
		{`return loadstring("\27Lua\81\0\1\4\4\4\8\0")`, any("nil")},
		{`return load(function() return string.dump(print) end)`, any("no: unable to dump")},
		{`return string.dump(function() end)`, any("no: unable to dump")},

		// environments
		{`return getfenv(print) == _G`, handler("true")},
		{`return getfenv(0) == getfenv(1)`, handler("true")},
		{`setfenv(0, {}) return "set"`, handler("set")},
		{`return setfenv(function() return type(os) end, {})()`, [3]string{"no: attempt to call", "no: attempt to call", "no: " + refused}},
		{`module("mine") return "made"`, handler("made")},
		{`return _G._G == _G`, any("true")},
		{`_G.mine = 1 return mine`, [3]string{"1", "1", "no: changing mine"}},
		{`rawset(_G, "mine", 1) return mine`, [3]string{"1", "1", "no: changing mine"}},
		{`mine = 1 return mine`, any("1")},

		// what all requests share
		{`string.mine = 1 return string.mine`, [3]string{"1", "1", "no: is refused at the sandbox level"}},
		{`string.mine = 1 for k in pairs(string) do if k == "mine" then return k end end`, [3]string{"mine", "mine", "no: is refused at the sandbox level"}},
		{`string.mine = 1 return tostring(("x").mine)`, [3]string{"1", "nil", "no: is refused at the sandbox level"}},
		{`string.format = nil return ""`, trusted("")},
		{`string.mine = 1 string.format = 2 return ""`, trusted("")},
		{`rawset(string, "mine", 1) return string.mine`, trusted("1")},
		{`table.insert(string, 1) return #string`, trusted("1")},
		{`table.remove(os) return ""`, trusted("")},
		{`getmetatable("").__index = {} return ""`, [3]string{"", "no: attempt to index", "no: attempt to index"}},
		{`setmetatable(string, {}) return ""`, [3]string{"", "no: protected metatable", "no: protected metatable"}},
		{`package.loaded.string = nil return "gone"`, [3]string{"gone", "no: changing string", "no: changing string"}},
		{`package.preload.x = print return "set"`, trusted("set")},
		{`package.loaders[1] = print return "set"`, trusted("set")},
		{`local n = 0 for k in pairs(string) do n = n + 1 end return n > 10`, any("true")},
		{`local _, t = pairs(string) t.upper = 1 return type(string.upper)`, [3]string{"number", "function", "function"}},
		{`return type(next(string)) .. type(rawget(string, "upper"))`, any("stringfunction")},
		{`getmetatable(action).__index = {} return ""`, any("no: attempt to index")},
		{`getmetatable(request.path).__index = {} return ""`, any("no: attempt to index")},
		{`getmetatable(vr).__index = {} return ""`, any("no: attempt to index")},
		{`getmetatable(lighty).__index = {} return ""`, any("no: attempt to index")},
		{`getmetatable(io.stdout).read = nil return ""`, any("no: attempt to index")},
		{`return setmetatable(vr, {})`, any("no: protected metatable")},
		{`return newproxy(vr)`, [3]string{"no: metatable must be", "no: metatable must be", "no: " + refused}},
		{`return type(getmetatable(newproxy(true)))`, handler("table")},

		// debug
		{`return debug.getupvalue(try, 1)`, trusted("")},
		{`return debug.setupvalue(try, 1, nil)`, trusted("")},
		{`return debug.getlocal(1, 1)`, trusted("")},
		{`return debug.setlocal(1, 1, 1)`, trusted("")},
		{`return type(debug.getmetatable(vr))`, trusted("boolean")},
		{`debug.setmetatable(vr, {}) return "set"`, trusted("set")},
		{`return type(debug.getfenv(print))`, trusted("table")},
		{`debug.setfenv(print, {}) return "set"`, trusted("set")},
		{`return type(debug.getinfo(1).func)`, handler("function")},
		{`return type(debug.traceback())`, any("string")},
		{`return type(debug.getregistry) .. type(debug.sethook)`, any("nilnil")},

		// what is caught, and who calls
		{`return coroutine.wrap(function() return os.execute("true") end)()`, trusted("0")},
		{`return select(2, pcall(os.execute, "true"))`, [3]string{"0", refused, refused}},
		{`return select(2, xpcall(function() return os.execute("true") end, function(e) return os.execute("true") end))`, [3]string{"0", refused, refused}},
		{`return tostring(setmetatable({}, { __tostring = function() return os.getenv("HOME") and "x" end }))`, handler("x")},
		{`return ("x"):gsub("x", function() return type(os.getenv("PATH")) end)`, handler("string")},
		{`return load(coroutine.wrap(function() coroutine.yield("return type(os.getenv('PATH'))") end))()`, handler("string")},
		{`return loadstring("return type(os.getenv('PATH'))")()`, handler("string")},

		// host values
		{`return host()`, [3]string{"of the host", "of the host", "no: attempt to call"}},

		// the request, and what runs behind the handler
		{`vr.env.REMOTE_USER = "root" return vr.env.REMOTE_USER`, handler("root")},
		{`vr.env:clear() return "cleared"`, handler("cleared")},
		{`vr.phys.path = "DIR/secret" return "set"`, handler("set")},
		{`vr.req.uri.path = "/admin" return "set"`, handler("set")},
		{`vr.req.headers["Remote-User"] = "root" return "set"`, handler("set")},
		{`vr.req.headers:clear() return "cleared"`, handler("cleared")},
		{`vr["in"]:add("more") return "added"`, handler("added")},
		{`vr:add_filter_in({ handle = print }) return "added"`, handler("added")},
		{`lighty.filter_in({}) return "added"`, [3]string{"no: while the script is loaded", "no: while the script is loaded", "no: " + refused}},
		{`vr.resp.headers["X-Mine"] = vr.req.headers["Host"] return vr.resp.headers["X-Mine"]`, any("host")},
		{`vr:enter_action(action.docroot "DIR") return "entered"`, handler("entered")},
		{`return vr:subrequest(action.list { action.docroot "DIR", action.static() }).status`, handler("404")},
		{`return type(action.fastcgi "127.0.0.1:1") .. type(action.proxy "127.0.0.1:1")`, handler("userdatauserdata")},
		{`return type(memcached)`, [3]string{"userdata", "userdata", "nil"}},
		{`return vr:subrequest(action.respond(299, "x")).status`, any("299")},
		{`return type(action.header.add("X", "y"))`, any("userdata")},
		{`return type(action.lua.handler("DIR/secret.lua", { sandbox = "trusted" }))`, [3]string{"userdata", `no: cannot give "trusted"`, "no: " + refused}},
		{`return type(action.lua.handler("x.lua", { sandbox = "handler", allow = { "os" } }))`, [3]string{"userdata", "no: cannot allow os", "no: " + refused}},
		{`return type(setup)`, any("nil")},
	} {
		t.Run(tt.code, func(t *testing.T) {
			s := newSandboxed(t, `
local function try(vr) `+tt.code+` end
actions = function(vr)
  local ok, result = pcall(try, vr)
  if not ok and type(result) == "userdata" then result = result.message end
  say(vr, (ok and "" or "no: ") .. tostring(result))
end`)
			for i, level := range levels {
				_, got := s.get("/" + level)
				want := strings.ReplaceAll(tt.want[i], "DIR", s.dir)
				problem, isError := strings.CutPrefix(want, "no: ")
				if strings.HasPrefix(got, "no: ") != isError || !strings.Contains(got, problem) {
					t.Errorf("%s: %q, want %q\n%s", level, got, want, s.log)
				}
			}
		})
	}
}

// What a handler has kept from the loading of its file has no more rights than the rest.
func TestSandboxWhileLoading(t *testing.T) {
	const refused = "is refused at the sandbox level"
	for _, tt := range []struct {
		load, run string
		want      [3]string
	}{
		{`local f = os.execute`, `return f("true")`, [3]string{"0", refused, refused}},
		{`local f = pcall(function() return os.execute("true") end)`, `return f`, [3]string{"true", "false", "false"}},
		{`local f = string function string.mine() return "mine" end`, `return ("x"):mine()`, [3]string{"mine", "mine", "mine"}},
		{`local f = string`, `f.mine = 1 return f.mine`, [3]string{"1", "1", refused}},
		{`local f = string`, `f.format = 1 return f.format`, [3]string{"1", refused, refused}},
		{`local f = getmetatable("")`, `f.__index = nil return tostring(f)`, [3]string{"table", "table", "table"}},
		{`local f = _G`, `f.mine = 1 return mine`, [3]string{"1", "1", refused}},
		{`local f = pcall(function() setup.listen "127.0.0.1:0" end)`, `return f`, [3]string{"false", "false", "false"}},
		{`local ok, f = pcall(function() return docroot "/" end)`, `return ok and f or f.message`, [3]string{"docroot", "docroot", refused}},
		{`local ok, f = pcall(function() return static.range_requests(true) end)`, `return ok and f or f.message`, [3]string{"static.range_requests", "static.range_requests", refused}},
	} {
		t.Run(tt.load, func(t *testing.T) {
			s := newSandboxed(t, tt.load+` actions = function(vr)
  local ok, result = pcall(function() `+tt.run+` end)
  say(vr, result)
end`)
			for i, level := range levels {
				if _, got := s.get("/" + level); !strings.Contains(got, tt.want[i]) {
					t.Errorf("%s: %q, want %q\n%s", level, got, tt.want[i], s.log)
				}
			}
		})
	}
}

// One request must not change what the next one sees.
func TestSandboxBetweenRequests(t *testing.T) {
	for _, tt := range []struct {
		poison, victim, clean string
		trusted               string // what the victim sees where everything is allowed
	}{
		{`string.upper = function() return "evil" end`, `return ("x"):upper()`, "X", "evil"},
		{`getmetatable("").__index = function() return function() return "evil" end end`, `return ("x"):upper()`, "X", "evil"},
		{`os.time = function() return "evil" end`, `return type(os.time())`, "number", "string"},
		{`table.concat = nil`, `return table.concat({ "a", "b" })`, "ab", "attempt to call"},
		{`rawset(getfenv(1), "print", 1)`, `return type(print)`, "function", "function"},
		{`setmetatable(getfenv(1), { __index = function() return 1 end })`, `return type(print)`, "function", "function"},
		{`setfenv(0, { type = function() return "evil" end })`, `return loadstring("return type(1)")()`, "number", "number"},
		{`package.loaded.string = {}`, `return require("string") == string or #package.loaded.string`, "0", "0"},
		{`math.randomseed(1)`, `return math.random() < 2`, "true", "true"},
		{`print = nil`, `return type(print)`, "function", "function"},
	} {
		t.Run(tt.poison, func(t *testing.T) {
			s := newSandboxed(t, `
actions = {
  when(request.path:suffix "/poison", function(vr) pcall(function() `+tt.poison+` end) say(vr, "done") end),
  function(vr) local _, result = pcall(function() `+tt.victim+` end) say(vr, result) end,
}`)
			for _, level := range levels {
				want := tt.clean
				if level == "trusted" {
					want = tt.trusted
				}
				for range 8 { // there may be several states
					s.get("/" + level + "/poison")
				}
				if _, got := s.get("/" + level); !strings.Contains(got, want) && !(level != "trusted" && got == "true") {
					t.Errorf("%s: %q, want %q\n%s", level, got, want, s.log)
				}
			}
		})
	}
}

// The levels of the script itself.
func TestSandboxOfTheScript(t *testing.T) {
	for name, tt := range map[string]struct {
		sandbox runtime.Sandbox
		script  string
		want    string // a body, or a part of the error
	}{
		"one's own script may run commands while it is loaded": {runtime.Sandbox{}, `local s = io.popen("echo hi"):read() actions = respond(s)`, "hi"},
		"its handlers may not":                                 {runtime.Sandbox{}, `actions = function(vr) say(vr, select(2, pcall(os.execute, "true"))) end`, `os.execute is refused at the sandbox level "handler"; setup.lua.sandbox("trusted") allows it`},
		"unless it says so":                                    {runtime.Sandbox{}, `setup.lua.sandbox "trusted" actions = function(vr) say(vr, os.execute("exit 1")) end`, "256"},
		"or allows a name":                                     {runtime.Sandbox{}, `setup.lua.sandbox("handler", { allow = { "io.popen" } }) actions = function(vr) say(vr, io.popen("echo hi"):read()) end`, "hi"},
		"it does not call itself untrusted":                    {runtime.Sandbox{}, `setup.lua.sandbox "untrusted"`, `lua.sandbox: level: expected "trusted" or "handler"`},
		"a level that is none":                                 {runtime.Sandbox{}, `setup.lua.sandbox "safe"`, `unknown sandbox level "safe"`},
		"a stricter start":                                     {runtime.Sandbox{Level: runtime.SandboxHandler}, `local s = io.popen("echo hi")`, `io.popen is refused at the sandbox level "handler"; --sandbox-allow io.popen (in Go: Config.Sandbox) allows it`},
		"which the script cannot change":                       {runtime.Sandbox{Level: runtime.SandboxHandler}, `setup.lua.sandbox "trusted"`, `started at the sandbox level "handler", which it cannot change`},
		"nor for a file":                                       {runtime.Sandbox{Level: runtime.SandboxHandler}, `actions = lua.handler("x.lua", { sandbox = "trusted" })`, `cannot give "trusted"`},
		"an untrusted one listens nowhere":                     {runtime.Sandbox{Level: runtime.SandboxUntrusted}, `setup.listen "127.0.0.1:0"`, `listen is refused at the sandbox level "untrusted"; --sandbox-allow listen (in Go: Config.Sandbox) allows it`},
		"unless it may":                                        {runtime.Sandbox{Level: runtime.SandboxUntrusted, Allow: []string{"listen"}}, `setup.listen "127.0.0.1:0" actions = respond "ok"`, "ok"},
		"an untrusted one has no files":                        {runtime.Sandbox{Level: runtime.SandboxUntrusted}, `actions = function(vr) say(vr, select(2, io.open("/etc/passwd"))) end`, "/etc/passwd: the script has no directory to open files in"},
		"its actions are few":                                  {runtime.Sandbox{Level: runtime.SandboxUntrusted}, `actions = { docroot "/", static() }`, `docroot is refused at the sandbox level "untrusted"`},
		"a name allows what begins with it":                    {runtime.Sandbox{Level: runtime.SandboxUntrusted, Allow: []string{"debug", "req_header"}}, `actions = { req_header.add("a", "b"), function(vr) say(vr, debug.getinfo(1).currentline) end }`, "5"},
		"but no other one":                                     {runtime.Sandbox{Level: runtime.SandboxUntrusted, Allow: []string{"doc"}}, `actions = docroot "/"`, "docroot is refused"},
		"a root needs untrusted":                               {runtime.Sandbox{Root: "/tmp"}, ``, `a root confines scripts at the sandbox level "untrusted" only`},
		"a root must be there":                                 {runtime.Sandbox{Level: runtime.SandboxUntrusted, Root: "/nowhere"}, ``, `"/nowhere" of the sandbox is no directory`},
		"a file that is none of these levels":                  {runtime.Sandbox{}, `actions = lua.handler("x.lua", { sandbox = 5 })`, "sandbox: expected the name of a level, got a number"},
		"a file with a root":                                   {runtime.Sandbox{}, `actions = lua.handler("x.lua", { root = "/tmp" })`, "only"},
	} {
		t.Run(name, func(t *testing.T) {
			log := &logBuffer{}
			cfg := testConfig(log)
			cfg.Sandbox = tt.sandbox
			p, err := runtime.Load(writeScript(t, say+tt.script), cfg)
			if err != nil {
				if !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%v\nwant %s", err, tt.want)
				}
				return
			}
			defer p.Close()
			if _, body := (&site{p, log}).get("/"); !strings.Contains(body, tt.want) {
				t.Errorf("%q, want %q\n%s", body, tt.want, log)
			}
		})
	}
}
