package bindings_test

import (
	"strings"
	"testing"
)

func TestLuaVRequest(t *testing.T) {
	runLuaCases(t, []luaCase{
		{"handle_direct only once", `
			out(vr.is_handled, vr.has_response, vr:handle_direct())`, `
true true false
`},
		{"unknown names", `
			try("read", function() return vr.foo end)
			try("write", function() vr.foo = 1 end)
			try("read only", function() vr.env = 1 end)
			try("number", function() return vr[1] end)
			try("req", function() req.http_method = "X" end)
			try("uri", function() return uri.foo end)
			try("resp", function() resp.headers = {} end)
			try("phys", function() return phys.foo end)
			try("con", function() vr.con.remote = "x" end)
			try("out", function() vr.out.foo = 1 end)
			try("metatable", function() return getmetatable(vr) end)`, `
read: false cannot read attribute foo in vrequest
write: false cannot write attribute fooin vrequest
read only: false cannot write attribute envin vrequest
number: true nil
req: false cannot write attribute http_methodin request
uri: false cannot read attribute foo in request uri
resp: false cannot write attribute headersin response
phys: false cannot read attribute foo in physical
con: false cannot write attribute remotein coninfo
out: false cannot write attribute fooin chunkqueue
metatable: true false
`},
		{"connection", `
			out(vr.con["local"], vr.con.remote)`, `
unix: 192.0.2.1
`},
		{"enter_action", `
			try("none", function() vr:enter_action() end)
			try("nil", vr.enter_action, vr, nil)
			try("function", vr.enter_action, vr, function() end)
			try("object", vr.enter_action, vr, vr.out)
			try("action", vr.enter_action, vr, action.header.add("X", "y"))`, `
none: false incorrect number of arguments
nil: false wrong arguments
function: false wrong arguments
object: false wrong arguments
action: true nil
`},
		{"the same object all the time", `
			out(rawequal(vr.req, vr.req), vr.req == vr.req, tostring(vr), tostring(uri))`, `
true true <vrequest> <request uri>
`},
	})
}

func TestLuaStatus(t *testing.T) {
	runLuaCases(t, []luaCase{
		{"accepted", `
			for _, s in ipairs { 200, 299, 999, 200.7, "404" } do resp.status = s; out(resp.status) end
			resp.status = 200`, `
200
299
999
200
404
`},
		{"refused", `
			for _, s in ipairs { 0, 100, 199, 1000, -1 } do try(s, function() resp.status = s end) end
			try("text", function() resp.status = "abc" end)
			try("nil", function() resp.status = nil end)`, `
0: false Invalid http response status: 0
100: false Invalid http response status: 100
199: false Invalid http response status: 199
1000: false Invalid http response status: 1000
-1: false Invalid http response status: -1
text: false @DIR@/site.lua:12: bad argument #3 to '?' (number expected, got string)
nil: false @DIR@/site.lua:13: bad argument #3 to '?' (number expected, got nil)
`},
	})
	site := luaScript(t, `actions = function(vr) vr.resp.headers["X-Before"] = tostring(vr.resp.status); vr.resp.status = 403 end`)
	if r := site.get("/"); r.StatusCode != 404 || r.Header.Get("X-Before") != "0" {
		t.Errorf("a status without handle_direct: %d, X-Before %q", r.StatusCode, r.Header.Get("X-Before"))
	}
}

func TestLuaStat(t *testing.T) {
	runLuaCases(t, []luaCase{
		{"file", `
			local st, res, errno, msg = vr:stat("@DIR@/letters.txt")
			out(st.is_file, st.is_dir, st.is_link, st.size, type(st.mode), res == lighty.HANDLER_GO_ON, errno, msg)
			try("unknown", function() return st.foo end)
			try("write", function() st.size = 1 end)`, `
true false false 10 number true nil nil
unknown: false cannot read attribute foo in struct stat
write: false cannot write attribute sizein struct stat
`},
		{"others", `
			for _, name in ipairs { "@DIR@", "/dev/null" } do local st = vr:stat(name); out(st.is_dir, st.is_char) end
			for _, name in ipairs { "@DIR@/none", "@DIR@/letters.txt/x", "", ("n"):rep(300) } do
				local st, res, errno, msg = vr:stat(name)
				out(st, res == lighty.HANDLER_ERROR, errno, msg)
			end`, `
true false
false true
nil true 2 No such file or directory
nil true 20 Not a directory
nil true 2 No such file or directory
nil true 36 File name too long
`},
		{"arguments", `
			try("none", function() vr:stat() end)
			try("table", function() vr:stat({}) end)`, `
none: false vr:stat(filename): incorrect number of arguments
table: false vr:stat(filename): wrong argument types
`},
	})
}

func TestLuaLog(t *testing.T) {
	site := luaScript(t, `
print("loading")
actions = function(vr)
  local named = setmetatable({}, { __tostring = function() return "named" end })
  print("hello", 1, nil, true, named, "", "end")
  lighty.warning("w", 2); lighty.info("i"); lighty.debug("d"); lighty.error("e")
  vr:print("vp", 3); vr:warning("vw"); vr:info("vi"); vr:debug("vd"); vr:error("ve")
end`)
	if r := site.get("/"); r.StatusCode != 404 {
		t.Errorf("status %d", r.StatusCode)
	}
	for _, want := range []string{
		`level=ERROR msg=loading source=lua`,
		`level=ERROR msg="hello 1 nil true named end" source=lua`,
		`level=WARN msg="w 2" source=lua`, `level=INFO msg=i `, `level=DEBUG msg=d `, `level=ERROR msg=e `,
		`level=ERROR msg="vp 3"`, `level=WARN msg=vw`, `level=INFO msg=vi`, `level=DEBUG msg=vd`, `level=ERROR msg=ve`,
	} {
		if !strings.Contains(site.log.String(), want) {
			t.Errorf("%s is not in the log:\n%s", want, site.log)
		}
	}
}

// An object that a script kept is cut off from the request when that is over.
func TestLuaObjectsEndWithTheRequest(t *testing.T) {
	site := luaScript(t, `
local kept, iterator
actions = function(vr)
  vr:handle_direct(); vr.resp.status = 200
  if kept then
    vr.out:add(tostring(rawequal(kept, vr)) .. "\n")
    for _, f in ipairs { function() return kept.req end, iterator } do
      local ok, e = pcall(f)
      vr.out:add(tostring(ok) .. " " .. tostring(e):gsub("^.-: ", "") .. "\n")
    end
  else
    kept, iterator = vr, vr.req.headers:pairs()
  end
end`)
	site.get("/")
	want := "false\nfalse vrequest: this object belongs to a request that is over\nfalse headers: this object belongs to a request that is over\n"
	if got := text(site.get("/")); got != want {
		t.Errorf("got %q", got)
	}
}
