package runtime

import (
	"fmt"
	"runtime/debug"
	"strings"
)

// LoadError is why a script was refused: the place and the reason.
type LoadError struct {
	Pos       Pos
	Msg       string
	Traceback string // calls that led there, "" when it is a syntax error
	cause     error
}

// Error prints site.lua:12: what was wrong.
func (e *LoadError) Error() string {
	if e.Pos.File == "" {
		return e.Msg
	}
	if e.Pos.Line == 0 {
		return e.Pos.File + ": " + e.Msg
	}
	return e.Pos.String() + ": " + e.Msg
}

// Unwrap returns the cause.
func (e *LoadError) Unwrap() error { return e.cause }

// LuaError is an error that a Lua function raised while a request ran.
type LuaError struct {
	Msg       string
	Traceback string
}

// Error returns Lua's message, which begins with the place.
func (e *LuaError) Error() string { return "lua: " + e.Msg }

// UnknownNameError is the use of a name that no module defines.
type UnknownNameError struct {
	What    string // "action", "setup", "variable"
	Name    string
	Nearest string // the most similar name, "" when none is
	Hint    string // what to do instead, ""
}

// Error prints unknown action "redirct"; did you mean "redirect"?
func (e *UnknownNameError) Error() string {
	switch {
	case e.Hint != "":
		return fmt.Sprintf("unknown %s %q; %s", e.What, e.Name, e.Hint)
	case e.Nearest != "":
		return fmt.Sprintf("unknown %s %q; did you mean %q?", e.What, e.Name, e.Nearest)
	}
	return fmt.Sprintf("unknown %s %q", e.What, e.Name)
}

// Unknown is the error for a name that is none of the candidates. what says what they are:
// "action".
func Unknown(what, name string, candidates []string) *UnknownNameError {
	return &UnknownNameError{What: what, Name: name, Nearest: Nearest(name, candidates)}
}

func panicError(r any) error {
	return fmt.Errorf("panic: %v\n%s", r, strings.TrimSpace(string(debug.Stack())))
}
