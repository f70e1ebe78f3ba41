package bindings

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"luaserve/runtime"
)

// What the objects of the request API share: checks of arguments, whose messages are those
// of Lua's own library, and the writing of log messages.

// argError raises the error of Lua's argument checks. It names the place of the direct
// caller; there is none when that is a Go function such as pcall.
func argError(c *runtime.Call, n int, problem string) {
	where := c.L.Where(1)
	if strings.HasPrefix(where, "[G]") {
		where = ""
	}
	if where != "" {
		where += " "
	}
	c.Error(fmt.Sprintf("%sbad argument #%d to '?' (%s)", where, n, problem))
}

func typeError(c *runtime.Call, n int, want string) {
	got := "no value"
	if n <= c.L.GetTop() {
		got = c.L.Get(n).Type().String()
	}
	argError(c, n, fmt.Sprintf("%s expected, got %s", want, got))
}

// checkAny demands that there is an argument n, be it nil.
func checkAny(c *runtime.Call, n int) {
	if c.L.GetTop() < n {
		argError(c, n, "value expected")
	}
}

// checkString returns argument n, a string or a number.
func checkString(c *runtime.Call, n int) string {
	s, ok := textOf(c.L.Get(n))
	if !ok {
		typeError(c, n, "string")
	}
	return s
}

// fieldText returns the value that is written to a field, a string or a number.
func fieldText(c *runtime.Call, value lua.LValue) string {
	s, ok := textOf(value)
	if !ok {
		typeError(c, 3, "string")
	}
	return s
}

// fieldInteger returns the value that is written to a field, a number or a string that is
// one, without its fraction.
func fieldInteger(c *runtime.Call, value lua.LValue) int {
	f, ok := numberOf(value)
	if !ok {
		typeError(c, 3, "number")
	}
	return clampInt(f)
}

func clampInt(f float64) int {
	switch {
	case math.IsNaN(f):
		return 0
	case f > math.MaxInt32:
		return math.MaxInt32
	case f < math.MinInt32:
		return math.MinInt32
	}
	return int(f)
}

// textOf returns the text of a string or a number.
func textOf(v lua.LValue) (string, bool) {
	switch v := v.(type) {
	case lua.LString:
		return string(v), true
	case lua.LNumber:
		return v.String(), true
	}
	return "", false
}

// numberOf returns a number, or what a string says that holds nothing but one.
func numberOf(v lua.LValue) (float64, bool) {
	switch v := v.(type) {
	case lua.LNumber:
		return float64(v), true
	case lua.LString:
		s := strings.ToLower(strings.TrimSpace(string(v)))
		if strings.HasPrefix(strings.TrimLeft(s, "+-"), "0x") {
			n, err := strconv.ParseInt(s, 0, 64)
			return float64(n), err == nil && !strings.Contains(s, "_")
		}
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return 0, false
		}
		return f, true
	}
	return 0, false
}

// truth is what Lua makes of a value in a condition.
func truth(v lua.LValue) bool { return lua.LVAsBool(v) }

// blocking runs f, which waits for something, without the lock of the Lua state. Nothing
// that waits can be reached while a script is loaded.
func blocking(c *runtime.Call, f func()) { c.VR.Blocking(f) }

// push pushes the results of a method.
func push(c *runtime.Call, results ...lua.LValue) int {
	for _, v := range results {
		c.L.Push(v)
	}
	return len(results)
}

// logMethod makes a method that writes its arguments to the log; the first of them is at
// index from.
func logMethod(name string, level slog.Level, from int, doc string) runtime.Method {
	return runtime.Method{Name: name, Args: "...", Doc: doc, Leaf: true, Run: func(c *runtime.Call, _ any) int {
		writeLog(c, level, joinArgs(c, from))
		return 0
	}}
}

func writeLog(c *runtime.Call, level slog.Level, msg string) {
	if log := c.Log(); log.Enabled(context.Background(), level) && c.MayLog(len(msg)) {
		log.LogAttrs(context.Background(), level, msg, slog.String("source", "lua"))
	}
}

// joinArgs joins the arguments from index from on with single spaces, as tostring shows them.
func joinArgs(c *runtime.Call, from int) string {
	var b strings.Builder
	for n := from; n <= c.L.GetTop(); n++ {
		s := c.L.ToStringMeta(c.L.Get(n)).String()
		if s != "" && b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(s)
	}
	return b.String()
}
