package bindings

import (
	"errors"
	"math"
	"strconv"

	lua "github.com/yuin/gopher-lua"

	"luaserve/bindings/memcached"
	"luaserve/runtime"
)

// memcachedObject is the global memcached.
var memcachedObject = &runtime.Object{
	Name:   "memcached",
	Global: "memcached",
	Doc:    "Talks to memcached from Lua.",
	Methods: []runtime.Method{
		{Name: "new", Args: "address", Doc: `Returns a connection to the server at "host:port", "host" or "unix:/path". It connects when it is first used. All requests and Lua states may share it.`, Run: memcachedNew},
	},
}

// memcachedConnectionObject is what memcached.new returns.
var memcachedConnectionObject = &runtime.Object{
	Name: "memcached connection",
	Doc: "A connection to a memcached server. Its methods return when the server has answered, a second later at most; other requests use the Lua state meanwhile. " +
		"So what lighttpd2 calls later, or after HANDLER_WAIT_FOR_EVENT, has happened already; handlers written for that work. Keys are hashed as those of the actions.",
	Concurrent: true,
	Methods: []runtime.Method{
		{Name: "get", Args: "key, callback or vr", Doc: "Asks for a value and returns a memcached request. A callback is called with the response.", Run: memcachedGet},
		{Name: "set", Args: "key, value, callback or vr, [ttl]", Doc: "Stores a value for ttl seconds, 300 unless given, 0 for ever, and returns a memcached request. A callback is called with the response.", Run: memcachedSet},
		{Name: "setq", Args: "key, value, [ttl]", Doc: "Does what set does without a response: it returns true, or nil and a message.", Run: memcachedSetQuiet},
	},
}

// memcachedRequestObject is what the methods of a connection return.
var memcachedRequestObject = &runtime.Object{
	Name: "memcached request",
	Doc:  "What a memcached server was asked.",
	Fields: []runtime.Attribute{
		{Name: "response", Type: "table",
			Doc: "code is 1 (ok), 2 (not stored), 3 (exists), 4 (not found) or 5 (error); error a message, with code 5; " +
				"key the key; flags, cas (a string of digits) and data what was found; ttl the seconds of a set, and 0 of a get: the server does not tell.",
			Get: func(_ *runtime.Call, self any) lua.LValue { return self.(*lua.LTable) }},
	},
}

// The codes of a response.
const (
	memcachedOK = 1 + iota
	memcachedNotStored
	memcachedExists
	memcachedNotFound
	memcachedError
)

// defaultLuaTTL is for how long Lua stores what comes without a ttl, in seconds, as in lighttpd2.
const defaultLuaTTL = 300

func memcachedNew(c *runtime.Call, _ any) int {
	server, err := memcachedServerOf(c.Builder(), checkString(c, 1))
	if err != nil {
		c.Errorf("memcached.new: %s", err)
	}
	return push(c, c.Value(memcachedConnectionObject, server))
}

func memcachedGet(c *runtime.Call, self any) int {
	key := checkString(c, 2)
	checkMemcachedTarget(c, "get", 3)
	var item *memcached.Item
	var err error
	limit := c.VR.Program().MaxBufferedBody()
	blocking(c, func() { item, err = self.(*memcachedServer).get(key, limit) })
	response := memcachedResponse(c, key, 0, err)
	if item != nil {
		response.RawSetString("flags", lua.LNumber(item.Flags))
		response.RawSetString("cas", lua.LString(strconv.FormatUint(item.CAS, 10)))
		response.RawSetString("data", lua.LString(item.Value))
	}
	return memcachedAnswer(c, 3, response)
}

func memcachedSet(c *runtime.Call, self any) int {
	key, value := checkString(c, 2), checkString(c, 3)
	checkMemcachedTarget(c, "set", 4)
	ttl := checkTTL(c, 5)
	var err error
	blocking(c, func() { err = self.(*memcachedServer).set(key, 0, ttl, []byte(value)) })
	return memcachedAnswer(c, 4, memcachedResponse(c, key, ttl, err))
}

func memcachedSetQuiet(c *runtime.Call, self any) int {
	key, value, ttl := checkString(c, 2), checkString(c, 3), checkTTL(c, 4)
	checkInRequest(c, "setq")
	var err error
	blocking(c, func() { err = self.(*memcachedServer).set(key, 0, ttl, []byte(value)) })
	if err != nil {
		return push(c, lua.LNil, lua.LString(err.Error()))
	}
	return push(c, lua.LTrue)
}

func checkInRequest(c *runtime.Call, method string) {
	if c.VR == nil {
		c.Errorf("con:%s: a server can be asked while a request is handled, not while the script is loaded", method)
	}
}

// checkMemcachedTarget demands that argument n is a function, or the request that is being
// handled.
func checkMemcachedTarget(c *runtime.Call, method string, n int) {
	checkInRequest(c, method)
	if c.L.Get(n).Type() == lua.LTFunction {
		return
	}
	if vr, ok := c.Self(n, vrequestObject); !ok || vr != any(c.VR) {
		typeError(c, n, "function or vr")
	}
}

// checkTTL returns argument n, or what counts without it.
func checkTTL(c *runtime.Call, n int) int64 {
	if c.L.Get(n) == lua.LNil {
		return defaultLuaTTL
	}
	ttl, ok := numberOf(c.L.Get(n))
	if !ok || !(ttl >= 0 && ttl <= math.MaxInt32) {
		argError(c, n, "a number of seconds expected")
	}
	return int64(ttl)
}

func memcachedResponse(c *runtime.Call, key string, ttl int64, err error) *lua.LTable {
	response := c.L.NewTable()
	code := memcachedOK
	switch {
	case err == nil:
	case errors.Is(err, memcached.ErrNotStored):
		code = memcachedNotStored
	case errors.Is(err, memcached.ErrExists):
		code = memcachedExists
	case errors.Is(err, memcached.ErrNotFound):
		code = memcachedNotFound
	default:
		code = memcachedError
		response.RawSetString("error", lua.LString(err.Error()))
	}
	response.RawSetString("code", lua.LNumber(code))
	response.RawSetString("key", lua.LString(key))
	response.RawSetString("ttl", lua.LNumber(ttl))
	return response
}

// memcachedAnswer hands the response to the callback or the request at stack index n, and
// returns the request object.
func memcachedAnswer(c *runtime.Call, n int, response *lua.LTable) int {
	if callback := c.L.Get(n); callback.Type() == lua.LTFunction {
		c.L.Push(callback)
		c.L.Push(response)
		c.L.Call(1, 0)
	} else {
		c.VR.Wake()
	}
	return push(c, c.Value(memcachedRequestObject, response))
}
