package luastring

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// prelude is what both interpreters run before the cases. A case is one line of Lua; n
// keeps the function under test from being a tail call, which has no name in messages.
const prelude = `function n(...) return ... end
function all(s, p)
  local out = {}
  for a, b, c in string.gmatch(s, p) do
    out[#out + 1] = show(a, b, c)
    if #out > 50 then break end
  end
  return table.concat(out, ";")
end
function show(...)
  local out = {}
  for i = 1, select("#", ...) do
    local v = select(i, ...)
    if type(v) == "string" then
      v = '"' .. string.gsub(v, "[^%w ]", function(c) return string.format("\\%03d", string.byte(c)) end) .. '"'
    elseif type(v) == "number" then
      v = string.format("%.17g", v)
    elseif type(v) == "boolean" or v == nil then
      v = tostring(v)
    else
      v = type(v)
    end
    out[i] = v
  end
  return table.concat(out, " ")
end
function run(case) return show(pcall(case)) end
`

// oracleLoop answers a case a line; with an argument at once.
const oracleLoop = "assert(loadstring([==[" + prelude + "]==], '=prelude'))()" + `
io.stdout:setvbuf("full")
for line in io.lines() do
  io.write(run(assert(loadstring(line, "=case"))), "\n")
  if ... then io.flush() end
end
`

// needLua returns the interpreter to compare with. A missing one skips the test, or fails
// it where LUASERVE_REQUIRE_BACKENDS is 1.
func needLua(tb testing.TB) string {
	tb.Helper()
	path, err := exec.LookPath("lua5.1")
	if err == nil {
		return path
	}
	if os.Getenv("LUASERVE_REQUIRE_BACKENDS") == "1" {
		tb.Fatal("lua5.1 is not installed, and LUASERVE_REQUIRE_BACKENDS is 1")
	}
	tb.Skip("lua5.1 is not installed")
	return ""
}

// oracle is a lua5.1 that answers case by case.
type oracle struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string
}

func startOracle(tb testing.TB, path string) *oracle {
	tb.Helper()
	cmd := exec.Command(path, "-e", "local function f(...) "+oracleLoop+" end f(true)")
	cmd.Env = append(os.Environ(), "TZ=UTC")
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	o := &oracle{cmd, in, make(chan string)}
	go func() {
		defer close(o.lines)
		for r := bufio.NewReader(out); ; {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			o.lines <- strings.TrimSuffix(line, "\n")
		}
	}()
	return o
}

// ask returns the answer, or false when there is none in time, or lua5.1 has crashed.
func (o *oracle) ask(line string) (string, bool) {
	if _, err := io.WriteString(o.in, line+"\n"); err != nil {
		return "", false
	}
	select {
	case answer, ok := <-o.lines:
		return answer, ok
	case <-time.After(2 * time.Second):
		return "", false
	}
}

func (o *oracle) stop() {
	o.cmd.Process.Kill()
	for range o.lines { // its end closes them
	}
	o.cmd.Wait()
}

// newState is a state with the library and what the cases use.
func newState(tb testing.TB) *lua.LState {
	tb.Helper()
	L := lua.NewState(lua.Options{SkipOpenLibs: true, RegistrySize: 512, RegistryMaxSize: 1 << 17, RegistryGrowStep: 4096})
	tb.Cleanup(L.Close)
	for name, open := range map[string]lua.LGFunction{"": lua.OpenBase, lua.TabLibName: lua.OpenTable, lua.OsLibName: lua.OpenOs} {
		L.Push(L.NewFunction(open))
		L.Push(lua.LString(name))
		L.Call(1, 0)
	}
	Open(L, 0)
	fn, err := L.Load(strings.NewReader(prelude), "prelude")
	if err != nil {
		tb.Fatal(err)
	}
	L.Push(fn)
	L.Call(0, 0)
	return L
}

// eval runs one case.
func eval(tb testing.TB, L *lua.LState, line string) string {
	tb.Helper()
	fn, err := L.Load(strings.NewReader(line), "case")
	if err != nil {
		tb.Fatalf("%s: %v", line, err)
	}
	L.Push(L.GetGlobal("run"))
	L.Push(fn)
	if err := L.PCall(1, 1, nil); err != nil {
		return "raised " + err.Error()
	}
	defer L.Pop(1)
	return L.Get(-1).String()
}

// quote makes a Lua string literal on one line.
func quote(s string) string {
	var out strings.Builder
	out.WriteByte('"')
	for i := range len(s) {
		if c := s[i]; c >= ' ' && c < 127 && c != '"' && c != '\\' {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, `\%03d`, c)
		}
	}
	out.WriteByte('"')
	return out.String()
}
