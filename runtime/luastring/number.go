package luastring

import (
	"math"
	"math/bits"
	"os"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// FormatNumber returns a number as Lua prints it: as C's "%.14g" does.
func FormatNumber(f float64) string {
	var digits [32]byte
	return string(appendNumber(digits[:0], f))
}

func appendNumber(dst []byte, f float64) []byte {
	if f > -1e14 && f < 1e14 && f == math.Trunc(f) && (f != 0 || !math.Signbit(f)) {
		return strconv.AppendInt(dst, int64(f), 10)
	}
	if text := notFinite(f); text != "" {
		return append(dst, text...)
	}
	return strconv.AppendFloat(dst, f, 'g', 14, 64)
}

// notFinite is how C prints what is no number, "" for a number.
func notFinite(f float64) string {
	text := ""
	switch {
	case math.IsInf(f, 0):
		text = "inf"
	case math.IsNaN(f):
		text = "nan"
	default:
		return ""
	}
	if math.Signbit(f) {
		text = "-" + text
	}
	return text
}

// spaces are what C's isspace takes in the C locale.
const spaces = " \t\n\v\f\r"

// cString is the part of s that C sees.
func cString(s string) string {
	if i := strings.IndexByte(s, 0); i >= 0 {
		return s[:i]
	}
	return s
}

// ParseNumber reads a number as C's strtod does, with blanks around it: decimal or
// hexadecimal, with fraction and exponent, "inf" and "nan". A zero byte ends the text.
func ParseNumber(s string) (float64, bool) {
	if n, ok := parseDigits(s); ok {
		return n, true
	}
	s = strings.Trim(cString(s), spaces)
	digits := strings.TrimLeft(s, "+-")
	if digits == "" || len(s)-len(digits) > 1 {
		return 0, false
	}
	switch c := digits[0]; {
	case c == '.' || c >= '0' && c <= '9':
	case len(digits) >= len("inf"):
		return parseNotFinite(digits, s[0] == '-')
	default:
		return 0, false
	}
	hex := len(digits) > 1 && digits[0] == '0' && digits[1]|0x20 == 'x'
	if !floatSyntax(digits, hex) {
		return 0, false
	}
	if hex && !strings.ContainsAny(digits, "pP") {
		s += "p0" // Go demands the exponent
	}
	f, _ := strconv.ParseFloat(s, 64) // what is too large is infinite
	return f, true
}

// parseDigits reads the usual case: a few digits.
func parseDigits(s string) (float64, bool) {
	if s == "" || len(s) > 15 {
		return 0, false
	}
	n := 0
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, false
		}
		n = 10*n + int(s[i]-'0')
	}
	return float64(n), true
}

func parseNotFinite(s string, negative bool) (float64, bool) {
	f := math.Inf(1)
	switch lower := strings.ToLower(s); {
	case lower == "inf" || lower == "infinity":
	case lower == "nan" || strings.HasPrefix(lower, "nan(") && strings.Trim(lower[4:], "0123456789abcdefghijklmnopqrstuvwxyz_") == ")":
		f = math.NaN()
	default:
		return 0, false
	}
	if negative {
		f = math.Copysign(f, -1)
	}
	return f, true
}

// floatSyntax reports whether all of s is an unsigned number. Go's parser would take
// underscores as well.
func floatSyntax(s string, hex bool) bool {
	digit, exponent := classes['d'], byte('e')
	if hex {
		s, digit, exponent = s[2:], classes['x'], 'p'
	}
	i, count := 0, 0
	for dot := false; i < len(s); i++ {
		if s[i] == '.' && !dot {
			dot = true
			continue
		}
		if !digit.has(s[i]) {
			break
		}
		count++
	}
	if count == 0 || i == len(s) {
		return count > 0
	}
	if s[i]|0x20 != exponent {
		return false
	}
	i++
	if i < len(s) && (s[i] == '+' || s[i] == '-') {
		i++
	}
	return i < len(s) && strings.Trim(s[i:], "0123456789") == ""
}

// toNumber is tonumber(value, base).
func toNumber(c call) int {
	base := c.optInt(2, 10)
	if base == 10 {
		switch v := c.any(1).(type) {
		case lua.LNumber:
			c.L.Push(v)
			return 1
		case lua.LString:
			if f, ok := ParseNumber(string(v)); ok {
				c.L.Push(lua.LNumber(f))
				return 1
			}
		}
		c.L.Push(lua.LNil)
		return 1
	}
	s := c.str(1)
	if base < 2 || base > 36 {
		c.argError(2, "base out of range")
	}
	if n, ok := parseUnsigned(s, base); ok {
		c.L.Push(lua.LNumber(n))
	} else {
		c.L.Push(lua.LNil)
	}
	return 1
}

// parseUnsigned reads an integer as C's strtoul does, with blanks around it: a negative one
// wraps around, what is too large is the largest.
func parseUnsigned(s string, base int) (uint64, bool) {
	s = strings.Trim(cString(s), spaces)
	negative := strings.HasPrefix(s, "-")
	if negative || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	if base == 16 && len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'x' {
		s = s[2:]
	}
	n, full := uint64(0), false
	for i := range len(s) {
		digit := digitValue(s[i])
		if digit >= base {
			return 0, false
		}
		high, low := bits.Mul64(n, uint64(base))
		sum, carry := bits.Add64(low, uint64(digit), 0)
		full = full || high != 0 || carry != 0
		n = sum
	}
	switch {
	case full:
		n = math.MaxUint64
	case negative:
		n = -n
	}
	return n, s != ""
}

// digitValue is the value of a digit or letter in the bases up to 36.
func digitValue(b byte) int {
	switch {
	case isDigit(b):
		return int(b - '0')
	case classes['a'].has(b):
		return int(b|0x20-'a') + 10
	}
	return math.MaxInt
}

// toString is tostring(value).
func toString(c call) int {
	c.L.Push(c.textOf(c.any(1)))
	return 1
}

// textOf returns what the __tostring metamethod of v returns, else the usual text.
func (c call) textOf(v lua.LValue) lua.LValue {
	switch v := v.(type) {
	case lua.LString:
		if c.L.GetMetaField(v, "__tostring") == lua.LNil {
			return v
		}
	case lua.LNumber:
		if c.L.GetMetaField(v, "__tostring") == lua.LNil {
			return lua.LString(FormatNumber(float64(v)))
		}
	}
	method := c.L.GetMetaField(v, "__tostring")
	if method == lua.LNil {
		return lua.LString(v.String())
	}
	c.L.Push(method)
	c.L.Push(v)
	c.L.Call(1, 1)
	text := c.L.Get(-1)
	c.L.Pop(1)
	return text
}

// printValues is print(…): it writes one line to the standard output.
func printValues(c call) int {
	line := result{c: c}
	for i := range c.L.GetTop() {
		if i > 0 {
			line.addByte('\t')
		}
		s, ok := text(c.textOf(c.L.Get(i + 1)))
		if !ok {
			c.fail("'tostring' must return a string to 'print'")
		}
		line.add(s)
	}
	line.addByte('\n')
	if _, err := os.Stdout.WriteString(line.String()); err != nil {
		c.fail("print: %v", err)
	}
	return 0
}
