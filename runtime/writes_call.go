package runtime

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// readers are library functions that leave their arguments as they are and return nothing
// that could be stored into. The functions of string and math are too.
var readers = map[string]bool{
	"type": true, "tostring": true, "tonumber": true, "rawequal": true, "print": true, "collectgarbage": true,
	"table.concat": true, "table.maxn": true, "table.getn": true, "debug.traceback": true,
	"os.time": true, "os.date": true, "os.clock": true, "os.getenv": true, "os.difftime": true,
	"coroutine.status": true, "coroutine.running": true, "coroutine.create": true,
}

// writers are library functions that can change what the load made without being given a
// table of it, or that run code which is not there yet.
var writers = map[string]bool{
	"setfenv": true, "debug.setfenv": true, "debug.setupvalue": true, "debug.setmetatable": true, "load": true, "loadstring": true,
	"loadfile": true, "dofile": true, "require": true, "module": true,
	"io.output": true, "io.input": true,
}

func isReader(name string) bool {
	return readers[name] || strings.HasPrefix(name, "string.") || strings.HasPrefix(name, "math.")
}

// passing are library functions that hand on what they get, and call what they get; see library.
var passing = map[string]bool{
	"pairs": true, "ipairs": true, "next": true, "unpack": true, "rawget": true, "assert": true, "select": true, "error": true,
	"getmetatable": true, "pcall": true, "xpcall": true, "coroutine.wrap": true, "coroutine.resume": true, "coroutine.yield": true,
}

// mayStore reports whether a Go function may store into its arguments.
func (s *writeSearch) mayStore(fn *lua.LFunction) bool {
	name := s.st.names[fn]
	return !isReader(name) && !passing[name] && fn != s.st.heap.prog.concat
}

// callValue is a call; it returns what the results may be.
func (s *writeSearch) callValue(callee value, args []value) value {
	var out value
	if callee.made != nil {
		s.join(&out, s.callFunction(callee.made, args))
	}
	if fn, ok := callee.known.(*lua.LFunction); ok {
		if fn.IsG {
			s.join(&out, s.library(s.st.names[fn], args))
		} else {
			s.join(&out, s.callFunction(s.function(fn), args))
		}
	}
	_, isTable := callee.known.(*lua.LTable)
	if callee.callable || callee.loaded || callee.fresh || isTable { // tables: __call
		for i, a := range args {
			s.grow(&s.anyArgs[min(i, maxArg-1)], a)
		}
		if isTable || callee.loaded || callee.fresh { // __call puts the object before them
			for i, a := range args {
				s.grow(&s.anyArgs[min(i+1, maxArg-1)], a)
			}
		}
		s.join(&out, s.returned)
	}
	if callee.goFunc || (callee.loaded && s.storesInGo) {
		s.join(&out, s.goCall(args))
	}
	if callee.object { // its methods take values, and call functions with objects
		s.grow(&s.anyArg, value{object: true})
		out.object = true
	}
	return out
}

func (s *writeSearch) callFunction(f *function, args []value) value {
	if f == nil {
		return value{}
	}
	for i, a := range args {
		s.grow(&f.params[min(i, len(f.params)-1)], a)
	}
	return f.result
}

// goCall is a call of a Go function that is not known: it may store one argument into
// another, and call those that are functions.
func (s *writeSearch) goCall(args []value) value {
	var all value
	for _, a := range args {
		if a.isLoaded() {
			s.found = orPos(s.found, s.here)
		}
		s.join(&all, a)
	}
	inside := s.contents(all)
	s.grow(&s.stored, all)
	if all.isFunction() || all.fresh {
		s.grow(&s.anyArg, all)
		s.grow(&s.anyArg, inside)
		s.grow(&s.anyArg, value{object: true})
	}
	s.join(&inside, value{fresh: true, object: true})
	return inside
}

func orPos(a *Pos, b Pos) *Pos {
	if a != nil {
		return a
	}
	return &b
}

// library is a call of a function of the libraries by its name.
func (s *writeSearch) library(name string, args []value) value {
	arg := func(i int) value {
		if i < len(args) {
			return args[i]
		}
		return value{}
	}
	rest := func(i int) []value { return args[min(i, len(args)):] }
	switch name {
	case "pairs", "ipairs", "next", "unpack", "rawget":
		return s.contents(arg(0))
	case "assert", "select":
		return s.all(args)
	case "getmetatable", "debug.getmetatable", "getfenv", "debug.getfenv", "debug.getupvalue", "debug.getlocal", "debug.getinfo":
		s.walk(s.st.base)
		return value{loaded: true, callable: true, goFunc: true}
	case "setmetatable":
		if arg(0).isLoaded() {
			s.found = orPos(s.found, s.here)
		}
		s.setMetatable(arg(1))
		return arg(0)
	case "error":
		s.grow(&s.thrown, s.all(args))
		return value{}
	case "coroutine.yield":
		s.grow(&s.returned, s.all(args))
		out := s.anyArg // what the next resume hands over
		for _, a := range s.anyArgs {
			s.join(&out, a)
		}
		return out
	case "pcall", "xpcall", "coroutine.resume":
		return s.protected(name, arg(0), arg(1), rest(1))
	case "coroutine.wrap":
		s.callValue(arg(0), nil)
		return value{callable: true}
	case "table.sort", "table.foreach", "table.foreachi":
		s.callValue(arg(1), []value{s.contents(arg(0)), s.contents(arg(0))})
	}
	if isReader(name) {
		s.callbacks(args)
		return value{}
	}
	if writers[name] {
		s.found = orPos(s.found, s.here)
	}
	return s.goCall(args)
}

// protected is pcall, xpcall and coroutine.resume.
func (s *writeSearch) protected(name string, fn, handler value, args []value) value {
	out := s.thrown
	switch name {
	case "pcall":
		s.join(&out, s.callValue(fn, args))
	case "xpcall":
		s.join(&out, s.callValue(fn, nil))
		s.join(&out, s.callValue(handler, []value{s.thrown}))
	default:
		s.join(&out, s.callValue(value{callable: true}, args))
	}
	return out
}

// callbacks: a function that string.gsub gets is called with strings.
func (s *writeSearch) callbacks(args []value) {
	for _, a := range args {
		if a.made != nil || a.callable {
			s.callValue(a, nil)
		}
	}
}

func (s *writeSearch) all(args []value) value {
	var out value
	for _, a := range args {
		s.join(&out, a)
	}
	return out
}
