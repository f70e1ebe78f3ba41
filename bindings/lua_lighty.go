package bindings

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"log/slog"
	"net/url"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"luaserve/runtime"
)

// lightyObject is the global lighty. Its functions are called with a dot.
var lightyObject = &runtime.Object{
	Name:   "lighty",
	Global: "lighty",
	Doc:    "Functions and constants that need no request.",
	Fields: []runtime.Attribute{
		lightyConstant("HANDLER_GO_ON", runtime.HandlerGoOn, "A handler returns it, or nothing, when it is done."),
		lightyConstant("HANDLER_COMEBACK", runtime.HandlerComeback, "A handler returns it to be run again after the actions that it entered."),
		lightyConstant("HANDLER_WAIT_FOR_EVENT", runtime.HandlerWaitForEvent, "A handler returns it to be run again when what it waits for is there."),
		lightyConstant("HANDLER_ERROR", runtime.HandlerError, "A handler returns it to end the request with an error."),
		{Name: "null", Type: "null", Doc: "Stands for JSON's null. It counts as true; compare with it.",
			Get: func(c *runtime.Call, _ any) lua.LValue { return jsonNull(c) }},
	},
	Methods: append(logFunctions(),
		runtime.Method{Name: "filter_in", Args: "class: table", Returns: "action", Doc: "Makes an action that lets the request body run through class:new(vr).", Run: filterAction("filter_in", true)},
		runtime.Method{Name: "filter_out", Args: "class: table", Returns: "action", Doc: "Makes an action that lets the response body run through class:new(vr).", Run: filterAction("filter_out", false)},
		runtime.Method{Name: "md5", Args: "s: string", Returns: "string", Doc: "Returns the MD5 of a string in hexadecimal digits.", Run: digest(md5.New), Leaf: true},
		runtime.Method{Name: "sha1", Args: "s: string", Returns: "string", Doc: "Returns the SHA-1 of a string in hexadecimal digits.", Run: digest(sha1.New), Leaf: true},
		runtime.Method{Name: "sha256", Args: "s: string", Returns: "string", Doc: "Returns the SHA-256 of a string in hexadecimal digits.", Run: digest(sha256.New), Leaf: true},
		runtime.Method{Name: "hmac", Args: "algorithm: string, key: string, s: string", Returns: "string", Doc: `Returns the HMAC of a string in hexadecimal digits; algorithm is "md5", "sha1", "sha256", "sha384" or "sha512".`, Run: lightyHMAC, Leaf: true},
		runtime.Method{Name: "equal", Args: "a: string, b: string", Returns: "boolean", Doc: "Compares two strings in a time that does not tell where they differ: for signatures and passwords.", Run: lightyEqual, Leaf: true},
		runtime.Method{Name: "path_simplify", Args: "path: string", Returns: "string", Doc: `Resolves ".", ".." and empty segments; the result begins with "/".`, Run: mapText(runtime.SimplifyPath), Leaf: true},
		runtime.Method{Name: "base64_encode", Args: "s: string, [url: boolean]", Returns: "string", Doc: "Encodes a string in base64; with url true in the alphabet for URLs, without padding.", Run: base64Encode, Leaf: true},
		runtime.Method{Name: "base64_decode", Args: "s: string", Returns: "string|nil, string|nil", Doc: "Decodes base64 of either alphabet, with or without padding; nil and a message when it is none.", Run: decoder("base64_decode", base64Decode), Leaf: true},
		runtime.Method{Name: "hex_encode", Args: "s: string", Returns: "string", Doc: "Encodes a string in hexadecimal digits.", Run: encoder(func(s string) string { return hex.EncodeToString([]byte(s)) }), Leaf: true},
		runtime.Method{Name: "hex_decode", Args: "s: string", Returns: "string|nil, string|nil", Doc: "Decodes hexadecimal digits; nil and a message when they are none.", Run: decoder("hex_decode", hexDecode), Leaf: true},
		runtime.Method{Name: "url_encode", Args: "s: string", Returns: "string", Doc: `Percent-encodes everything but letters, digits and "-._~".`, Run: encoder(urlEncode), Leaf: true},
		runtime.Method{Name: "url_decode", Args: "s: string", Returns: "string|nil, string|nil", Doc: `Decodes percent escapes, and "+" to a space; nil and a message for an incomplete escape.`, Run: decoder("url_decode", url.QueryUnescape), Leaf: true},
		runtime.Method{Name: "json_encode", Args: "value: any", Returns: "string", Doc: "Encodes a value as JSON. A table with the keys 1 to n is an array, one with strings as keys an object; an empty one is an object unless json_array marked it.", Run: jsonEncode},
		runtime.Method{Name: "json_decode", Args: "s: string", Returns: "any, string|nil", Doc: "Decodes JSON, null as lighty.null; nil and a message when it is none.", Run: jsonDecode},
		runtime.Method{Name: "json_array", Args: "[table: table]", Returns: "table", Doc: "Marks a table as an array, so that it is encoded as [] when it is empty, and returns it.", Run: jsonArray},
		runtime.Method{Name: "time", Returns: "number", Doc: "Returns the seconds since 1970 with their fraction.", Run: lightyTime, Leaf: true},
	),
}

func lightyConstant(name string, n int, doc string) runtime.Attribute {
	return runtime.Attribute{Name: name, Type: "number", Doc: doc, Leaf: true,
		Get: func(*runtime.Call, any) lua.LValue { return lua.LNumber(n) }}
}

func logFunctions() []runtime.Method {
	all := logMethod("print", slog.LevelError, 1, "Writes its arguments to the log as an error; the global print does the same.")
	all.Bare = true
	fail := logMethod("error", slog.LevelError, 1, "Writes its arguments to the log as an error. A plugin that refuses arguments says why with it.")
	fail.Run = func(c *runtime.Call, _ any) int {
		msg := joinArgs(c, 1)
		writeLog(c, slog.LevelError, msg)
		c.Complain(msg)
		return 0
	}
	return []runtime.Method{
		all,
		fail,
		logMethod("warning", slog.LevelWarn, 1, "Writes its arguments to the log as a warning."),
		logMethod("info", slog.LevelInfo, 1, "Writes its arguments to the log as an information."),
		logMethod("debug", slog.LevelDebug, 1, "Writes its arguments to the log for debugging."),
	}
}

func filterAction(name string, in bool) func(*runtime.Call, any) int {
	return func(c *runtime.Call, _ any) int {
		if n := c.L.GetTop(); n != 1 || c.L.Get(1) == lua.LNil {
			c.Errorf("expected exactly one parameter for lighty.%s, got %d", name, n)
		}
		if in {
			c.Guard("lighty.filter_in")
		}
		act, err := c.LuaFilterAction(1, name, in)
		if err != nil {
			c.Errorf("%s", err)
		}
		return push(c, act)
	}
}

// mapText makes a function from text to text that returns nothing for other values, as
// lighttpd2's do.
func mapText(f func(string) string) func(*runtime.Call, any) int {
	return func(c *runtime.Call, _ any) int {
		s, ok := textOf(c.L.Get(1))
		if !ok {
			return 0
		}
		return push(c, lua.LString(f(s)))
	}
}

func digest(algorithm func() hash.Hash) func(*runtime.Call, any) int {
	return mapText(func(s string) string {
		h := algorithm()
		h.Write([]byte(s))
		return hex.EncodeToString(h.Sum(nil))
	})
}

var hmacAlgorithms = map[string]func() hash.Hash{
	"md5": md5.New, "sha1": sha1.New, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New,
}

func lightyHMAC(c *runtime.Call, _ any) int {
	name, key, data := checkString(c, 1), checkString(c, 2), checkString(c, 3)
	algorithm := hmacAlgorithms[strings.ToLower(name)]
	if algorithm == nil {
		c.Errorf("lighty.hmac: unknown algorithm %q; expected md5, sha1, sha256, sha384 or sha512", name)
	}
	mac := hmac.New(algorithm, []byte(key))
	mac.Write([]byte(data))
	return push(c, lua.LString(hex.EncodeToString(mac.Sum(nil))))
}

func lightyEqual(c *runtime.Call, _ any) int {
	a, b := checkString(c, 1), checkString(c, 2)
	return push(c, lua.LBool(subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1))
}

// encoder makes a function from text to text that demands a string or a number.
func encoder(encode func(string) string) func(*runtime.Call, any) int {
	return func(c *runtime.Call, _ any) int {
		return push(c, lua.LString(encode(checkString(c, 1))))
	}
}

// decoder makes a function that returns nil and a message for what cannot be decoded: the
// text comes from a client more often than not.
func decoder(name string, decode func(string) (string, error)) func(*runtime.Call, any) int {
	return func(c *runtime.Call, _ any) int {
		text, err := decode(checkString(c, 1))
		if err != nil {
			return push(c, lua.LNil, lua.LString(name+": "+err.Error()))
		}
		return push(c, lua.LString(text))
	}
}

func base64Encode(c *runtime.Call, _ any) int {
	data, encoding := []byte(checkString(c, 1)), base64.StdEncoding
	if truth(c.L.Get(2)) {
		encoding = base64.RawURLEncoding
	}
	return push(c, lua.LString(encoding.EncodeToString(data)))
}

var toStandardAlphabet = strings.NewReplacer("-", "+", "_", "/")

func base64Decode(s string) (string, error) {
	s = toStandardAlphabet.Replace(s)
	if len(s)%4 == 0 {
		s = strings.TrimSuffix(strings.TrimSuffix(s, "="), "=")
	}
	data, err := base64.RawStdEncoding.DecodeString(s)
	return string(data), err
}

func hexDecode(s string) (string, error) {
	data, err := hex.DecodeString(s)
	return string(data), err
}

func urlEncode(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func lightyTime(c *runtime.Call, _ any) int {
	return push(c, lua.LNumber(float64(c.Now().UnixNano())/1e9))
}
