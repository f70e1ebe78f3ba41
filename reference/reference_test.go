package reference_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"luaserve/bindings"
	"luaserve/reference"
	"luaserve/scripts"
)

func everything(t *testing.T) *reference.Reference {
	t.Helper()
	plugins, err := reference.ReadPlugins(scripts.FS)
	if err != nil {
		t.Fatal(err)
	}
	return reference.New(bindings.Modules(), plugins...)
}

func TestFind(t *testing.T) {
	ref := everything(t)
	for _, c := range []struct{ name, want string }{
		{"listen", "setup listen(address)"},
		{"setup.listen", "setup listen(address)"},
		{"action.listen", ""},
		{"header.add", "action header.add(name, value)"},
		{"action.header.add", "action header.add(name, value)"},
		{"header.add(", "action header.add(name, value)"},
		{"setup.header.add", ""},
		{"log", "option log: a key-value list"},
		{"proxy_protocol.trust", "setup proxy_protocol.trust(peers), action proxy_protocol.trust()"},
		{"setup.proxy_protocol.trust", "setup proxy_protocol.trust(peers)"},
		{"expire", "module expire, action expire(rule)"},
		{"server.tag", "option server.tag: a string"},
		{"setup.server.tag", "option server.tag: a string"},
		{"action.server.tag", "option server.tag: a string"},
		{"request.path", "variable request.path"},
		{`request.header["Host"]`, `variable request.header["name"]`},
		{"prefix", "operator :prefix(value)"},
		{":is", "operator :is()"},
		{"any", "combination any"},
		{"core.wsgi", "action core.wsgi(prefix, app)"},
		{"core.lua", "plugin core.lua"},
		{"lighty.md5", "method lighty.md5(s)"},
		{"vr", "object vrequest"},
		{"vr:stat", "method vrequest:stat(filename)"},
		{"vrequest:stat", "method vrequest:stat(filename)"},
		{"vr.req.uri", "field request.uri"},
		{"vr.req.uri.path", "field request uri.path"},
		{"vr.out:add", "method chunkqueue:add(data)"},
		{"vr.nothing", ""},
		{"vr.req.uri.path.deeper", ""},
		{"vr.", "object vrequest"},
		{"redirct", ""},
		{"", ""},
	} {
		var titles []string
		for _, e := range ref.Find(c.name) {
			titles = append(titles, e.Title())
		}
		if got := strings.Join(titles, ", "); got != c.want {
			t.Errorf("%q finds %q, want %q", c.name, got, c.want)
		}
	}
}

// Every name that is offered, also to the completion of a shell, can be looked up.
func TestNamesAreFound(t *testing.T) {
	ref := everything(t)
	names := ref.Names()
	if len(names) < 200 {
		t.Errorf("only %d names", len(names))
	}
	for _, name := range names {
		if len(ref.Find(name)) == 0 {
			t.Errorf("%q is not found", name)
		}
	}
}

func TestNear(t *testing.T) {
	ref := everything(t)
	for _, c := range []struct{ name, first string }{
		{"redirct", "redirect"},
		{"header.ad", "header.add"},
		{":prefx", ":prefix"},
		{"htpasswd", "auth.htpasswd"}, // a part of the name
		{"gzip", "deflate"},           // its description mentions it
		{"WebSocket", "proxy"},
	} {
		if near := ref.Near(c.name); len(near) == 0 || near[0] != c.first {
			t.Errorf("near %q is %q, want %q first", c.name, near, c.first)
		}
	}
	if near := ref.Near("xyzzyq"); near != nil {
		t.Errorf("near nothing is %q", near)
	}
}

func TestBelow(t *testing.T) {
	var names []string
	for _, e := range everything(t).Below("limit") {
		names = append(names, e.Name)
	}
	if want := []string{"limit.con", "limit.con_ip", "limit.req", "limit.req_ip"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}

// Only titles and examples are longer than a line.
func TestPrinterKeepsTheWidth(t *testing.T) {
	ref := everything(t)
	for _, width := range []int{60, 80, 100} {
		p := reference.Printer{Width: width}
		for _, name := range ref.Names() {
			for _, e := range ref.Find(name) {
				var out bytes.Buffer
				if err := p.Entry(&out, e); err != nil {
					t.Fatal(err)
				}
				for _, line := range strings.Split(out.String(), "\n")[1:] {
					if utf8.RuneCountInString(line) > width && !strings.Contains(e.Example, strings.TrimSpace(line)) {
						t.Errorf("%s at %d: %q is too long", name, width, line)
					}
				}
				if strings.Contains(out.String(), "\x1b") {
					t.Errorf("%s has an escape sequence", name)
				}
			}
		}
	}
}

func TestPrinter(t *testing.T) {
	plugin, err := reference.ReadPlugin("x.lua", `-- x.lua: what is special here.

-- x.hold(seconds, [why]): lets the client wait. It is
-- never impolite.
--
--   actions = { x.hold(5), respond "ok" }
---@param seconds number how long
---@param why? string said in the log
local function hold(seconds, why) end

-- setup x.limit(n): sets the limit.
local function limit(n) end

-- not an entry: a remark
actions = { ["x.hold"] = hold }
setups = { ["x.limit"] = limit }
`)
	if err != nil {
		t.Fatal(err)
	}
	ref := reference.New(nil, plugin)
	var out bytes.Buffer
	p := reference.Printer{Width: 40, Bold: true}
	for _, name := range []string{"x.lua", "x.hold", "x.limit"} {
		for _, e := range ref.Find(name) {
			if err := p.Entry(&out, e); err != nil {
				t.Fatal(err)
			}
		}
	}
	const want = "\x1b[1mplugin x.lua\x1b[0m\n" + `
  What is special here.

  x.hold   Lets the client wait.
  x.limit  Sets the limit.
` + "\x1b[1maction x.hold(seconds, [why])\x1b[0m\n" + `
  Lets the client wait. It is never
  impolite.

  seconds: a number; how long
  why: a string, optional; said in the
      log

    lua.plugin "x.lua"
    actions = { x.hold(5), respond "ok" }
` + "\x1b[1msetup x.limit(n)\x1b[0m\n" + `
  Sets the limit.

  n: a value
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
}

func TestReadPluginsErrors(t *testing.T) {
	_, err := reference.ReadPlugins(fstest.MapFS{"bad.lua": {Data: []byte("-- x.hold(a): waits.\n---@param b string the rest\n")}})
	if err == nil || err.Error() != `bad.lua: x.hold: there is no parameter b: @param b string the rest` {
		t.Errorf("got %v", err)
	}
}
