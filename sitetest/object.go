package sitetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	"luaserve/explain"
	"luaserve/runtime"
)

// method is a method of the object t that tests are given. The table is where its
// documentation comes from, too.
type method struct {
	Name string
	Args string // as the documentation shows them
	Doc  string
	call func(t *oneTest, L *lua.LState) int
}

// Methods are what tests can do, in the order of the documentation.
func Methods() []Method {
	out := make([]Method, len(methods))
	for i, m := range methods {
		out[i] = Method{m.Name, m.Args, m.Doc}
	}
	return out
}

// Method describes a method of the object t for the documentation.
type Method struct{ Name, Args, Doc string }

var methods = []method{
	{"get", "url [, options]", "Sends a GET request and returns the answer. Options: headers (a table), remote (an address).", func(t *oneTest, L *lua.LState) int {
		return t.ask(L, "GET", L.CheckString(2), "", L.OptTable(3, nil))
	}},
	{"post", "url, body [, options]", "Sends a POST request.", func(t *oneTest, L *lua.LState) int {
		return t.ask(L, "POST", L.CheckString(2), L.OptString(3, ""), L.OptTable(4, nil))
	}},
	{"request", "{ method =, url =, headers =, body =, remote = }", "Sends any request.", func(t *oneTest, L *lua.LState) int {
		o := L.CheckTable(2)
		text := func(name string) string { return lua.LVAsString(o.RawGetString(name)) }
		if text("url") == "" {
			L.ArgError(2, "url is missing")
		}
		return t.ask(L, strings.ToUpper(text("method")), text("url"), text("body"), o)
	}},
	{"eq", "got, want [, what]", "Fails unless both are equal. Tables are compared by what is in them.", func(t *oneTest, L *lua.LState) int {
		if got, want := L.Get(2), L.Get(3); !equal(got, want, 0) {
			t.fail(L, "%sgot %s, want %s", what(L, 4), show(got, 0), show(want, 0))
		}
		return 0
	}},
	{"ne", "got, other [, what]", "Fails if both are equal.", func(t *oneTest, L *lua.LState) int {
		if got := L.Get(2); equal(got, L.Get(3), 0) {
			t.fail(L, "%sgot %s, want anything else", what(L, 4), show(got, 0))
		}
		return 0
	}},
	{"match", "got, pattern [, what]", "Fails unless the text matches a Lua pattern.", func(t *oneTest, L *lua.LState) int {
		if got, pattern := L.Get(2), L.CheckString(3); !matches(L, got, pattern) {
			t.fail(L, "%sgot %s, want a match of %q", what(L, 4), show(got, 0), pattern)
		}
		return 0
	}},
	{"contains", "got, text [, what]", "Fails unless a text has another one in it.", func(t *oneTest, L *lua.LState) int {
		if got, text := L.Get(2), L.CheckString(3); got.Type() != lua.LTString || !strings.Contains(string(got.(lua.LString)), text) {
			t.fail(L, "%sgot %s, want %q in it", what(L, 4), show(got, 0), text)
		}
		return 0
	}},
	{"ok", "value [, what]", "Fails if the value is false or nil.", func(t *oneTest, L *lua.LState) int {
		if got := L.Get(2); lua.LVIsFalse(got) {
			t.fail(L, "%sgot %s, want a true value", what(L, 3), show(got, 0))
		}
		return 0
	}},
	{"fail", "message", "Fails.", func(t *oneTest, L *lua.LState) int {
		t.fail(L, "%s", L.CheckString(2))
		return 0
	}},
	{"skip", "reason", "Ends the test; it counts as skipped.", func(t *oneTest, L *lua.LState) int {
		t.skipped = L.CheckString(2)
		ud := L.NewUserData()
		ud.Value = &skip{t.skipped}
		L.Error(ud, 1)
		return 0
	}},
	{"log", "value, …", "Notes something that is printed when the test fails, and with --verbose.", func(t *oneTest, L *lua.LState) int {
		parts := make([]string, 0, L.GetTop()-1)
		for i := 2; i <= L.GetTop(); i++ {
			parts = append(parts, show(L.Get(i), 0))
		}
		t.log = append(t.log, fmt.Sprintf("%s:%d: %s", t.file, callerLine(L), strings.Join(parts, " ")))
		return 0
	}},
	{"backend", "address, answer", "Answers in the place of a backend: answer is a text, a table { status =, headers =, body = }, or a function that is given the request (method, target, headers, body, env) and returns one of them. " +
		"FastCGI, SCGI and HTTP are told apart by what comes. An address without a fake cannot be reached.", func(t *oneTest, L *lua.LState) int {
		address, answer := L.CheckString(2), L.Get(3)
		switch answer.Type() {
		case lua.LTString, lua.LTTable, lua.LTFunction:
		default:
			L.ArgError(3, "expected a text, a table or a function, got a "+answer.Type().String())
		}
		t.fakes.set(t, strings.TrimPrefix(address, "unix:"), answer)
		return 0
	}},
	{"file", "path, content", "Puts a file where the site looks for one; parent folders come with it. The path is absolute. Files on the disk are still there.", func(t *oneTest, L *lua.LState) int {
		if err := t.addFile(L.CheckString(2), L.CheckString(3)); err != nil {
			L.RaiseError("file: %s", err.Error())
		}
		return 0
	}},
	{"now", "[time]", `Sets the clock of the site: "2026-12-31T23:59:59Z", or seconds since 1970. Returns what it says, in seconds. It stands still from then on.`, func(t *oneTest, L *lua.LState) int {
		if L.GetTop() >= 2 {
			t.setClock(L, L.Get(2))
		}
		L.Push(lua.LNumber(t.clock().Unix()))
		return 1
	}},
	{"advance", "seconds", "Moves the clock of the site on.", func(t *oneTest, L *lua.LState) int {
		t.now = t.clock().Add(time.Duration(float64(L.CheckNumber(2)) * float64(time.Second)))
		return 0
	}},
	{"site", "file", "Says which script is tested, if it is not the one that the file of the tests is called after. The path is seen from there.", func(t *oneTest, L *lua.LState) int {
		if t.prog != nil {
			L.RaiseError("site: the script was loaded by the first request already")
		}
		if t.site = L.CheckString(2); !filepath.IsAbs(t.site) {
			t.site = filepath.Join(filepath.Dir(t.file), t.site)
		}
		return 0
	}},
}

// object makes t.
func (t *oneTest) object() lua.LValue {
	object := t.L.NewTable()
	for _, m := range methods {
		object.RawSetString(m.Name, t.L.NewFunction(func(L *lua.LState) int {
			if L.Get(1) != object {
				L.RaiseError("call it with a colon: t:%s(%s)", m.Name, m.Args)
			}
			if t.finished {
				L.RaiseError("the test is over")
			}
			return m.call(t, L)
		}))
	}
	return object
}

// what is the description that an assertion may have.
func what(L *lua.LState, n int) string {
	if text := L.OptString(n, ""); text != "" {
		return text + ": "
	}
	return ""
}

func matches(L *lua.LState, got lua.LValue, pattern string) bool {
	if got.Type() != lua.LTString && got.Type() != lua.LTNumber {
		return false
	}
	find := L.GetField(L.GetGlobal(lua.StringLibName), "find")
	if err := L.CallByParam(lua.P{Fn: find, NRet: 1, Protect: true}, lua.LString(lua.LVAsString(got)), lua.LString(pattern)); err != nil {
		L.RaiseError("%s", firstOf(err))
	}
	found := L.Get(-1)
	L.Pop(1)
	return found != lua.LNil
}

func (t *oneTest) addFile(path, content string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%q is no absolute path", path)
	}
	if t.prog != nil && t.dir == "" {
		return fmt.Errorf("the script was loaded by the first request already; add the first file before")
	}
	if t.dir == "" {
		dir, err := os.MkdirTemp("", "luaserve-test-")
		if err != nil {
			return err
		}
		t.dir = dir
	}
	name := filepath.Join(t.dir, path)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(content), 0o644)
}

func (t *oneTest) setClock(L *lua.LState, v lua.LValue) {
	switch v := v.(type) {
	case lua.LNumber:
		t.now = time.Unix(int64(v), 0)
		return
	case lua.LString:
		at, err := time.Parse(time.RFC3339, string(v))
		if err == nil {
			t.now = at
			return
		}
	}
	L.ArgError(2, `expected a time like "2026-12-31T23:59:59Z" or a number, got `+show(v, 0))
}

// ask sends a request through the pipeline.
func (t *oneTest) ask(L *lua.LState, method, url, body string, options *lua.LTable) int {
	req := explain.Request{Method: method, URL: url, Body: []byte(body)}
	if options != nil {
		if err := readOptions(&req, options); err != nil {
			L.RaiseError("%s", err.Error())
		}
	}
	p, err := t.program()
	if err != nil {
		t.fail(L, "the site does not load: %s", err.Error())
	}
	// backends are asked meanwhile, and may call Lua
	t.lua.Unlock()
	result, err := explain.Run(t.ctx, p, req, explain.Options{Backends: true, MaxBody: maxBody})
	t.lua.Lock()
	if err != nil {
		L.RaiseError("%s", err.Error())
	}
	if err := t.fakes.err(); err != nil {
		t.last = result
		t.fail(L, "%s", err.Error())
	}
	t.last = result
	t.coverage.add(t.site, t.rules, t.numbers, result)
	L.Push(t.answer(result))
	return 1
}

// maxBody is how much of an answer tests see, in bytes.
const maxBody = 16 << 20

func readOptions(req *explain.Request, o *lua.LTable) (err error) {
	if headers, ok := o.RawGetString("headers").(*lua.LTable); ok {
		headers.ForEach(func(k, v lua.LValue) {
			values := []lua.LValue{v}
			if list, ok := v.(*lua.LTable); ok {
				values = nil
				list.ForEach(func(_, item lua.LValue) { values = append(values, item) })
			}
			for _, value := range values {
				field, e := explain.ParseHeader(lua.LVAsString(k) + ": " + lua.LVAsString(value))
				if e != nil {
					err = e
				}
				req.Header = append(req.Header, field)
			}
		})
	}
	if remote := lua.LVAsString(o.RawGetString("remote")); remote != "" && err == nil {
		req.Remote, err = explain.ParseRemote(remote)
	}
	return err
}

// answer is what tests see of an answer.
func (t *oneTest) answer(r *explain.Result) lua.LValue {
	L := t.L
	out, headers := L.NewTable(), L.NewTable()
	for _, f := range r.Header {
		name := lua.LString(strings.ToLower(f.Name))
		value := lua.LString(f.Value)
		if old, ok := headers.RawGet(name).(lua.LString); ok {
			value = old + ", " + value
		}
		headers.RawSet(name, value)
	}
	L.SetMetatable(headers, t.answers)
	out.RawSetString("status", lua.LNumber(r.Status))
	out.RawSetString("headers", headers)
	out.RawSetString("body", lua.LString(r.Bytes))
	out.RawSetString("length", lua.LNumber(r.Length))
	if r.Cut != "" {
		out.RawSetString("cut", lua.LString(r.Cut))
	}
	if d := r.Decided; d != nil {
		decided := L.NewTable()
		decided.RawSetString("name", lua.LString(d.Name))
		decided.RawSetString("file", lua.LString(d.File))
		decided.RawSetString("line", lua.LNumber(d.Line))
		if d.Failed != "" {
			decided.RawSetString("failed", lua.LString(d.Failed))
		}
		out.RawSetString("decided", decided)
	}
	log := L.NewTable()
	explain.EachStep(r.Steps, func(s *runtime.Step) {
		for _, line := range s.Log {
			log.Append(lua.LString(line))
		}
	})
	out.RawSetString("log", log)
	return out
}

// newHeaderMeta makes header fields found whatever the case of the name.
func newHeaderMeta(L *lua.LState) *lua.LTable {
	meta := L.NewTable()
	meta.RawSetString("__index", L.NewFunction(func(L *lua.LState) int {
		L.Push(L.CheckTable(1).RawGetString(strings.ToLower(L.CheckString(2))))
		return 1
	}))
	return meta
}
