// Package luafast runs the beginning of a Lua function, as far as it is simple, several
// times faster than gopher-lua does, and hands the rest over to gopher-lua.
//
// Functions stay what gopher-lua's compiler made of them. A [Machine] decodes the bytecode
// of a function once and executes what cannot surprise: moves, jumps, arithmetic with
// numbers, tables, loops, calls of other Lua functions, and leaf functions (see [Leaf]).
// It never raises an error, never calls a metamethod, and never waits. At the first
// instruction that would need any of these it stops, before the instruction does anything,
// and makes a function that goes on at that very instruction: a copy of the bytecode that
// takes all registers as its arguments and begins with a jump. A call chain becomes a chain
// of such functions, each of which calls the next. So every error, with its message, line and
// traceback, and every metamethod, coroutine, closure and time limit, is gopher-lua's own.
//
// What a script can see of it: debug.getinfo and getfenv in a function that was left this
// way mean the copy. Functions that name these libraries are therefore not run here.
package luafast
