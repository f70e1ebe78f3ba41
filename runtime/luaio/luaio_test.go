package luaio

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"

	"luaserve/runtime/luastring"
)

// calls are expressions whose results are compared with lua5.1's, in a directory of their
// own with the file "text". What they return is joined by commas.
var calls = []string{
	`io.open("text"):read()`, `io.open("text"):read("*l", "*l")`, `io.open("text"):read("*a")`, `io.open("text"):read(3, 0, 4)`, `io.open("text"):read(1000)`,
	`io.open("numbers"):read("*n", "*n", "*n")`, `io.open("numbers"):read("*n", "*l")`, `io.open("empty"):read()`, `io.open("empty"):read("*a")`,
	`io.open("empty"):read(0)`, `io.open("text"):read(0)`, `io.open("empty"):read(1)`, `io.open("nothing")`, `io.open("nowhere/x", "w")`, `io.open("."):read(1)`,
	`io.lines("text")()`, `(pcall(io.lines, "nothing"))`, `(function() local t = {} for l in io.lines("text") do t[#t + 1] = l end return table.concat(t, "|") end)()`,
	`(function() local f = io.open("text") f:close() return (pcall(f.read, f)) end)()`, `(function() local f = io.open("text") f:close() return io.type(f), io.type(io.stdout), io.type(1) end)()`,
	`(function() local f = io.open("new", "w") f:write("a", 1, 0.1, 1e15, "\n") f:close() return io.open("new"):read("*a") end)()`,
	`(function() local f = io.open("new", "a") f:write("b") f:close() return io.open("new"):read("*a") end)()`,
	`(function() local f = io.open("new", "r+") local a = f:read(1) f:seek("cur", 0) f:write("X") f:seek("set") return a, f:read("*a") end)()`,
	`(function() local f = io.open("text") return f:seek(), f:seek("set", 3), f:read(2), f:seek("cur"), f:seek("end"), f:read(1) end)()`,
	`(function() local f = io.open("text") f:read(1) return f:seek("cur", 1), f:read(1) end)()`, `io.open("text"):seek("set", -1)`,
	`(function() io.input("text") return io.read(), io.read() end)()`, `(function() io.output("out") io.write("x") io.close() io.output(io.stdout) return io.open("out"):read("*a") end)()`,
	`(function() local f = io.tmpfile() f:write("abc") f:seek("set") return f:read("*a") end)()`, `io.popen("echo hi; exit 3"):read("*a")`,
	`(function() local f = io.popen("cat > piped", "w") f:write("in") f:close() return io.open("piped"):read("*a") end)()`,
	`os.remove("nothing")`, `os.remove("out")`, `os.rename("nothing", "x")`, `os.rename("new", "newer")`, `os.execute("exit 3")`, `os.execute("true")`, `os.execute() ~= 0`,
	`io.open("text"):setvbuf("no")`, `io.open("text"):flush()`, `(function() local f = io.open("text", "w+") return f:write("x"), f:seek("set"), f:read() end)()`,
}

func TestAsLua(t *testing.T) {
	program, err := exec.LookPath("lua5.1")
	if err != nil {
		if os.Getenv("LUASERVE_REQUIRE_BACKENDS") == "1" {
			t.Fatal("lua5.1 is not installed, and LUASERVE_REQUIRE_BACKENDS is 1")
		}
		t.Skip("lua5.1 is not installed")
	}
	script := "local out = io.stdout local function show(...) local t = { ... } for i = 1, select('#', ...) do t[i] = tostring(t[i]) end return table.concat(t, ',') end\n"
	for i, call := range calls {
		script += fmt.Sprintf("results[%d] = show(%s)\n", i+1, call)
	}
	theirs := directory(t)
	cmd := exec.Command(program, "-e", "results = {} "+script+"for i = 1, #results do io.stdout:write(results[i], '\\0') end")
	cmd.Dir = theirs
	cmd.Stderr = os.Stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(string(output), "\x00")

	t.Chdir(directory(t))
	L := newState(Options{MaxLen: 1 << 20})
	defer L.Close()
	results := L.NewTable()
	L.SetGlobal("results", results)
	if err := L.DoString(script); err != nil {
		t.Fatal(err)
	}
	for i, call := range calls {
		if got := results.RawGetInt(i + 1).String(); got != want[i] {
			t.Errorf("%s\n got %q\nwant %q", call, got, want[i])
		}
	}
}

func newState(o Options) *lua.LState {
	L := lua.NewState()
	luastring.Open(L, 0)
	L.G.Global.RawSetString("io", lua.LNil)
	L.GetField(L.Get(lua.RegistryIndex), "_LOADED").(*lua.LTable).RawSetString("io", lua.LNil)
	Open(L, o)
	return L
}

// directory is a new one with some files.
func directory(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"text": "one\ntwo\r\n\nlast without an end", "numbers": " 12 0x10\n-1.5e1 x", "empty": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
