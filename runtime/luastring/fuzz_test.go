package luastring

import (
	"context"
	"fmt"
	"math"
	"os/exec"
	"strings"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// FuzzPattern compares calls of the functions with patterns with lua5.1, where there is one.
func FuzzPattern(f *testing.F) {
	for _, seed := range []struct{ subject, pattern, replacement string }{
		{"hello world", "o w", "x"}, {"key = value", "^(%w+)%s*=%s*(%w+)$", "%2=%1"}, {"THE (quick) fox", "%((%a+)%)", "<%1>"},
		{"THE (quick) fox", "%f[%a]%a+", ""}, {"f(a(b)c)", "%b()", "%0"}, {"aXbXc", "(.-)X", "%1%1"}, {"abab", "(ab)%1", "%%"},
		{"a,b,,c", "[^,]*", "."}, {"  trim  ", "^%s*(.-)%s*$", "%1"}, {"\x00\xff", "%z.", "\x00"}, {"x]y", "[]%]]+", "%"},
		{"abc", "()b()", "%1%2"}, {"a-z", "[a-]", "-"}, {"aaa", "a-$", ""}, {"aaab", "a*ab", ""}, {"x", "[a-%w]", ""}, {"x", "%", ""},
		{"x", "[", ""}, {"x", "(()", ""}, {"x", ")", ""}, {"x", "%9", ""}, {"x", "%b", ""}, {"x", "%f", ""},
	} {
		for kind := range 8 {
			f.Add(uint8(kind), seed.subject, seed.pattern, seed.replacement, int8(1))
		}
	}
	c := newComparer(f)
	f.Fuzz(func(t *testing.T, kind uint8, subject, pattern, replacement string, n int8) {
		if len(subject) > 60 || len(pattern) > 40 {
			return
		}
		c.compare(t, patternCase(int(kind%8), subject, pattern, replacement, int(n)))
	})
}

// FuzzFormat compares string.format and the conversions of numbers with lua5.1.
func FuzzFormat(f *testing.F) {
	for _, format := range []string{
		"%5.2f|%-8d|%q", "%x %X %#o", "%+d % d %05d", "%.3s|%10s|%-10s|", "%c%c", "%e %G %#g", "%%", "%", "%y", "%123d", "%.123d", "%------d", "%5%",
	} {
		f.Add(format, "12", 1.5, uint8(0))
		f.Add(format, " 0x1Fp2 ", math.Inf(-1), uint8(5))
		f.Add(format, "a\x00b\"\\\r\n", math.Copysign(0, -1), uint8(10))
		f.Add(format, strings.Repeat("x", 100), 0x1p63, uint8(255))
	}
	c := newComparer(f)
	f.Fuzz(func(t *testing.T, format, text string, number float64, order uint8) {
		args := ""
		for i := range 5 {
			if order>>i&1 == 0 {
				args += ", " + numeral(number)
			} else {
				args += ", " + quote(text)
			}
		}
		c.compare(t, formatCase(format, args))
		c.compare(t, fmt.Sprintf("return n(tostring(%s), tonumber(%s))", numeral(number), quote(text)))
		c.compare(t, fmt.Sprintf("return n(tonumber(%s, %d))", quote(text), order%40))
	})
}

// numeral writes a number so that both interpreters read the same.
func numeral(f float64) string {
	switch {
	case math.IsNaN(f):
		return "(0/0)"
	case math.IsInf(f, 0):
		return fmt.Sprintf("(%g/0)", math.Copysign(1, f))
	}
	if f == 0 && math.Signbit(f) {
		return "(1/(-1/0))"
	}
	return fmt.Sprintf("%.17g", f)
}

// comparer runs cases here and in lua5.1.
type comparer struct {
	path   string // of lua5.1, empty when there is none
	oracle *oracle
	L      *lua.LState
}

func newComparer(f *testing.F) *comparer {
	c := &comparer{L: newState(f)}
	if path, err := exec.LookPath("lua5.1"); err == nil {
		c.path = path
		c.oracle = startOracle(f, path)
		f.Cleanup(func() { c.oracle.stop() })
	}
	return c
}

func (c *comparer) compare(t *testing.T, line string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	c.L.SetContext(ctx)
	got := eval(t, c.L, line)
	if strings.Contains(got, "runtime error") {
		t.Errorf("%s: a Go panic: %s", line, got)
	}
	if ctx.Err() != nil || c.oracle == nil {
		return // too slow is no difference
	}
	want, answered := c.oracle.ask(line)
	if !answered {
		c.oracle.stop()
		c.oracle = startOracle(t, c.path)
		return
	}
	if got != want {
		t.Errorf("%s\n got %s\nwant %s", line, got, want)
	}
}
