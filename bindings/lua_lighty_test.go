package bindings_test

import (
	"strings"
	"testing"
)

func TestLuaLighty(t *testing.T) {
	runLuaCases(t, []luaCase{
		{"constants", `
			out(lighty.HANDLER_GO_ON, lighty.HANDLER_COMEBACK, lighty.HANDLER_WAIT_FOR_EVENT, lighty.HANDLER_ERROR)
			local ok, e = pcall(function() lighty.foo = 1 end); out(ok, (e:gsub("^.*: ", "")))
			try("unknown", function() return lighty.foo end)
			out(lighty == _G.lighty, print == lighty.print)`, `
0 1 2 3
false attempt to index global 'lighty' (a userdata value)
unknown: false cannot read attribute foo in lighty
true true
`},
		{"digests", `
			out(lighty.md5(""), lighty.md5(12), lighty.md5("a\0b"))
			out(lighty.sha1("abc")); out(lighty.sha256("abc"))
			out(select("#", lighty.md5(nil)), select("#", lighty.md5({})), select("#", lighty.md5()), select("#", lighty.path_simplify(true)))`, `
d41d8cd98f00b204e9800998ecf8427e c20ad4d76fe97759aa27a0c99bff6710 70350f6027bce3713f6b76473084309b
a9993e364706816aba3e25717850c26c9cd0d89d
ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
0 0 0 0
`},
		// RFC 2202, 2 and 3, test case 2
		{"hmac", `
			out(lighty.hmac("md5", "Jefe", "what do ya want for nothing?"))
			out(lighty.hmac("SHA1", "Jefe", "what do ya want for nothing?"))
			out(#lighty.hmac("sha256", "k", ""), #lighty.hmac("sha384", "k", ""), #lighty.hmac("sha512", "k", ""))
			try("unknown", function() lighty.hmac("md4", "k", "d") end)
			try("none", function() lighty.hmac("md5", "k") end)`, `
750c783e6ab0b503eaa86e310a5db738
effcdf6ae5eb2fa2d27416d5f184df9c259a7c79
64 96 128
unknown: false @DIR@/site.lua:14: lighty.hmac: unknown algorithm "md4"; expected md5, sha1, sha256, sha384 or sha512
none: false @DIR@/site.lua:15: bad argument #3 to '?' (string expected, got no value)
`},
		{"equal", `
			out(lighty.equal("abc", "abc"), lighty.equal("abc", "abd"), lighty.equal("abc", "ab"), lighty.equal("", ""))
			try("nil", function() lighty.equal(nil, "x") end)`, `
true false false true
nil: false @DIR@/site.lua:12: bad argument #1 to '?' (string expected, got nil)
`},
		{"base64 and hex", `
			out(lighty.base64_encode("a\0?>"), lighty.base64_encode("\251\255?", true), lighty.base64_encode(""))
			out(lighty.base64_decode("aGk="), lighty.base64_decode("aGk"), lighty.base64_decode("-_8") == lighty.base64_decode("+/8="))
			for _, s in ipairs { "a", "aGk==", "a b=", "=" } do out(lighty.base64_decode(s)) end
			out(lighty.hex_encode("\0\171z"), lighty.hex_decode("4aBc6d") == "J\188m")
			out(lighty.hex_decode("4")); out(lighty.hex_decode("zz"))`, `
YQA/Pg== -_8_ 
hi hi true
nil base64_decode: illegal base64 data at input byte 0
nil base64_decode: illegal base64 data at input byte 3
nil base64_decode: illegal base64 data at input byte 1
nil base64_decode: illegal base64 data at input byte 0
00ab7a true
nil hex_decode: encoding/hex: odd length hex string
nil hex_decode: encoding/hex: invalid byte: U+007A 'z'
`},
		{"url", `
			out(lighty.url_encode("a b+c/d?e=ü&~-._"), lighty.url_decode("a%20b+c%2f%FC") == "a b c/\252")
			out(lighty.url_decode("%zz"))`, `
a%20b%2Bc%2Fd%3Fe%3D%C3%BC%26~-._ true
nil url_decode: invalid URL escape "%zz"
`},
		{"time", `
			local now = lighty.time(); out(math.abs(now - os.time()) < 5, now ~= math.floor(now))`, `
true true
`},
		{"path_simplify", `
			out(lighty.path_simplify("a/../b//c/."), lighty.path_simplify(".."), lighty.path_simplify(12))`, `
/b/c/ / /12
`},
		{"filters are made while loading", `
			try("none", function() lighty.filter_out() end); try("nil", function() lighty.filter_in(nil) end)
			local ok, e = pcall(lighty.filter_out, {}); out(ok, (e:gsub("^.-: ", "")))`, `
none: false @DIR@/site.lua:11: expected exactly one parameter for lighty.filter_out, got 0
nil: false @DIR@/site.lua:11: expected exactly one parameter for lighty.filter_in, got 1
false filter_out makes an action: call it while the script is loaded; in a handler use vr:add_filter_out
`},
	})
}

func TestLuaJSON(t *testing.T) {
	runLuaCases(t, []luaCase{
		{"encode", `
			local function enc(...) out(lighty.json_encode(...)) end
			enc(nil); enc(true); enc(12); enc(1.5); enc(-1e300); enc("a\"\n\0ü"); enc(lighty.null)
			enc({}); enc(lighty.json_array()); enc(lighty.json_array {}); enc({ 1, "2", { 3 } })
			enc({ b = 1, a = { c = lighty.null, d = {} } }); enc({ [2] = "b", [1] = "a" }); enc({ ["1"] = "a" })`, `
null
true
12
1.5
-1e+300
"a\"\n\u0000ü"
null
{}
[]
[]
[1,"2",[3]]
{"a":{"c":null,"d":{}},"b":1}
["a","b"]
{"1":"a"}
`},
		{"not to be encoded", `
			local function bad(v) local ok, e = pcall(lighty.json_encode, v); out(ok, (e:gsub("^.-: ", ""))) end
			local loop = {}; loop.x = { loop }; bad(loop)
			local deep = {}; for i = 1, 200 do deep = { deep } end
			bad({ a = { 1, print } }); bad({ vr }); bad(0 / 0); bad({ x = 1 / 0 }); bad({ "\255" }); bad({ ["\255"] = 1 })
			bad({ 1, nil, 3 }); bad({ 1, x = 2 }); bad({ [1.5] = 1 }); bad({ [0] = 1 }); bad({ [true] = 1 })
			local ok, e = pcall(lighty.json_encode, deep); out(ok, e:match("more than 128 tables in each other") ~= nil)
			try("none", function() lighty.json_encode() end)`, `
false lighty.json_encode: value.x[1]: the table contains itself
false lighty.json_encode: value.a[2]: a function has no form in JSON
false lighty.json_encode: value[1]: a userdata has no form in JSON
false lighty.json_encode: value: NaN has no form in JSON
false lighty.json_encode: value.x: +Inf has no form in JSON
false lighty.json_encode: value[1]: the string is not UTF-8; base64_encode takes any bytes
false lighty.json_encode: value: the string is not UTF-8; base64_encode takes any bytes
false lighty.json_encode: value: the table is neither a list with the keys 1 to n nor a table with strings as keys
false lighty.json_encode: value: the table is neither a list with the keys 1 to n nor a table with strings as keys
false lighty.json_encode: value: the table is neither a list with the keys 1 to n nor a table with strings as keys
false lighty.json_encode: value: the table is neither a list with the keys 1 to n nor a table with strings as keys
false lighty.json_encode: value: the table is neither a list with the keys 1 to n nor a table with strings as keys
false true
none: false @DIR@/site.lua:17: bad argument #1 to '?' (value expected)
`},
		{"decode", `
			local v = lighty.json_decode ' {"a": [1, 2.5, "x", true, null, {}], "b": {"c": "\\u00fc"}, "e": []} '
			out(#v.a, v.a[1], v.a[2], v.a[3], v.a[4], v.a[5] == lighty.null, next(v.a[6]), v.b.c)
			out(lighty.json_encode(v)); out(lighty.json_decode("null") == lighty.null, lighty.json_decode("\"s\""), tostring(lighty.null))
			local same = lighty.json_decode(lighty.json_encode({ 1, { x = "y" } })); out(same[1], same[2].x)`, `
6 1 2.5 x true true nil ü
{"a":[1,2.5,"x",true,null,{}],"b":{"c":"ü"},"e":[]}
true s <null>
1 y
`},
		{"no JSON", `
			local n = 0
			for _, s in ipairs { "", "{", "[1", "[1,]", "{\"a\"}", "{\"a\":1,}", "{1:2}", "[1 2]", "1 2", "nul", "\"a", "1e999", "]", "[}" } do
				local v, e = lighty.json_decode(s)
				if v == nil and e:match("^json_decode: .+ %(byte %d+%)$") then n = n + 1 else out("accepted:", s, v, e) end
			end
			out(n, select(2, lighty.json_decode("[1")), select(2, lighty.json_decode("[] x")))
			out(select(2, lighty.json_decode(("["):rep(1000))))`, `
14 json_decode: the text ends too early (byte 2) json_decode: there is more behind the value (byte 3)
json_decode: more than 128 arrays and objects in each other (byte 129)
`},
	})
}

// lighty.null and the mark of arrays mean the same in every state of a script.
func TestLuaJSONInForkedStates(t *testing.T) {
	site := luaScript(t, `
setup.lua.states(4)
local null, list = lighty.null, lighty.json_array()
actions = function(vr)
  vr:handle_direct(); vr.resp.status = 200
  vr:stat("/")
  vr.out:add(tostring(null == lighty.null) .. lighty.json_encode { list, null })
end`)
	results := make(chan string)
	for range 50 {
		go func() { results <- text(site.get("/")) }()
	}
	for range 50 {
		if got := <-results; got != "true[[],null]" {
			t.Fatalf("got %q\n%s", got, site.log)
		}
	}
	if n, _ := site.States(); n != 4 {
		t.Errorf("%d states", n)
	}
}

// What a plugin says with lighty.error becomes the reason of the error.
func TestLuaComplaint(t *testing.T) {
	site := luaScript(t, `actions = function() end`)
	site.write(t, "plug.lua", `actions = { plug = function(x) lighty.error("plug wants", "a number"); return nil end }`)
	site.write(t, "other.lua", `lua.plugin "plug.lua"
actions = plug "x"`)
	err := site.loadAgain("other.lua")
	if err == nil || !strings.Contains(err.Error(), "plug wants a number") || !strings.Contains(err.Error(), "other.lua:2") {
		t.Errorf("error %v", err)
	}
}
