package luafast_test

import (
	"context"
	"testing"
)

// What handlers are made of, in the machine and in gopher-lua, where it checks a context at
// each instruction, as a server has it do.
func BenchmarkParts(b *testing.B) {
	for _, part := range []struct{ name, code string }{
		{"nothing", ``},
		{"fields", `for i = 1, 100 do local n, text = O.n, O.inner.text end`},
		{"methods", `for i = 1, 100 do O:set("x") end`},
		{"numbers", `local n = 0; for i = 1, 1000 do if i % 3 == 0 then n = n + i * 2 end end`},
		{"calls", `local function f(n) if n < 2 then return n end return f(n - 1) + f(n - 2) end F = f; local n = F(12)`},
		{"helper", `for i = 1, 100 do local n = F0(i, 2) end`},
		{"tables", `local t = {}; for i = 1, 100 do t[i] = i; t.x = i end for i, v in ipairs(t) do t.x = v end`},
		{"gmatch", `for k, v in string.gmatch("a=1&b=2&c=3", "(%w)=(%w)") do local n = k end`},
		{"strings", `for i = 1, 100 do local s = string.sub("hello", 2, 3); local u = ("x"):upper() end`},
	} {
		text := "local T, M, S, N, O, P, C = ...\nlocal F0, F = function(a, b) return a * b end\nreturn function(a, b, c)\n" + part.code + "\nend"
		for _, fast := range []bool{true, false} {
			name := part.name + "/gopher-lua"
			if fast {
				name = part.name + "/machine"
			}
			b.Run(name, func(b *testing.B) {
				w := newWorld()
				defer w.L.Close()
				fn := w.load(b, text)
				L, _ := w.L.NewThread()
				L.SetContext(context.Background())
				w.thread = L
				b.ReportAllocs()
				for b.Loop() {
					nargs, finished := 0, false
					if fast {
						nargs, finished = w.machine.Run(L, fn, nil, nil)
					} else {
						L.Push(fn)
					}
					if !finished {
						if err := L.PCall(nargs, 0, nil); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
	}
}
