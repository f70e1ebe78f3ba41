package luastring

import (
	"strconv"
	"strings"
)

// strFormat is string.format: C's printf with Lua's limits. A zero byte ends what C would
// see of a string: one that %s pads or cuts, and the character of a %c.
func strFormat(c call) int {
	format := c.str(1)
	out := result{c: c}
	out.Grow(min(len(format)+16, c.maxLen))
	arg := 1
	for {
		text, rest, found := strings.Cut(format, "%")
		out.add(text)
		if !found {
			return c.pushString(out.String())
		}
		if strings.HasPrefix(rest, "%") {
			out.addByte('%')
			format = rest[1:]
			continue
		}
		if arg++; arg > c.L.GetTop() {
			c.argError(arg, "no value")
		}
		d, rest := c.parseDirective(rest)
		c.formatOne(&out, d, arg)
		format = rest
	}
}

// directive is what stands between a % and the end of the conversion.
type directive struct {
	left, plus, space, alternative, zero bool

	width     int
	precision int // -1 when there is none
	verb      byte
}

func (c call) parseDirective(s string) (directive, string) {
	d := directive{precision: -1}
	i := 0
	for ; i < len(s) && strings.IndexByte("-+ #0", s[i]) >= 0; i++ {
		switch s[i] {
		case '-':
			d.left = true
		case '+':
			d.plus = true
		case ' ':
			d.space = true
		case '#':
			d.alternative = true
		case '0':
			d.zero = true
		}
	}
	if i > len("-+ #0") {
		c.fail("invalid format (repeated flags)")
	}
	d.width, s = twoDigits(s[i:])
	if strings.HasPrefix(s, ".") {
		d.precision, s = twoDigits(s[1:])
	}
	if s == "" {
		return d, ""
	}
	if isDigit(s[0]) {
		c.fail("invalid format (width or precision too long)")
	}
	d.verb = s[0]
	return d, s[1:]
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

// twoDigits reads a number of at most two digits, which may be missing.
func twoDigits(s string) (n int, rest string) {
	i := 0
	for ; i < 2 && i < len(s) && isDigit(s[i]); i++ {
		n = 10*n + int(s[i]-'0')
	}
	return n, s[i:]
}

// maxNumber is room for any formatted number: 309 digits before the point, 99 behind it.
const maxNumber = 512

// formatOne adds the given argument.
func (c call) formatOne(out *result, d directive, arg int) {
	var space [maxNumber]byte
	buf := space[:0]
	switch d.verb {
	case 'c':
		// the conversion by way of C's int
		buf = d.pad(buf, "", string([]byte{cChar(c.number(arg))}), false)
		out.add(cString(string(buf)))
	case 'd', 'i':
		n := toInt64(c.number(arg))
		if n < 0 {
			out.addBytes(d.integer(buf, "-", -uint64(n), 10))
		} else {
			out.addBytes(d.integer(buf, d.sign(), uint64(n), 10))
		}
	case 'u':
		out.addBytes(d.integer(buf, "", toUint64(c.number(arg)), 10))
	case 'o':
		out.addBytes(d.integer(buf, "", toUint64(c.number(arg)), 8))
	case 'x', 'X':
		out.addBytes(d.integer(buf, "", toUint64(c.number(arg)), 16))
	case 'e', 'E', 'f', 'g', 'G':
		out.addBytes(d.float(buf, c.number(arg)))
	case 'q':
		out.quote(c.str(arg))
	case 's':
		d.text(out, c.str(arg))
	case 0:
		c.fail("invalid option '%%' to 'format'")
	default:
		c.fail("invalid option '%%%s' to 'format'", string([]byte{d.verb}))
	}
}

func cChar(f float64) byte {
	if f > -0x1p31-1 && f < 0x1p31 {
		return byte(int32(f))
	}
	return 0
}

// sign is what stands before a number that is not negative.
func (d *directive) sign() string {
	switch {
	case d.plus:
		return "+"
	case d.space:
		return " "
	}
	return ""
}

// pad appends prefix and digits with the blanks, or zeros in between, that the width demands.
func (d *directive) pad(dst []byte, prefix, digits string, zeros bool) []byte {
	missing := d.width - len(prefix) - len(digits)
	repeat := func(b byte) {
		for ; missing > 0; missing-- {
			dst = append(dst, b)
		}
	}
	zeros = zeros && d.zero && !d.left
	if !zeros && !d.left {
		repeat(' ')
	}
	dst = append(dst, prefix...)
	if zeros {
		repeat('0')
	}
	dst = append(dst, digits...)
	repeat(' ')
	return dst
}

// integer appends a number in one of C's bases. A precision is the least number of digits.
func (d *directive) integer(dst []byte, sign string, n uint64, base int) []byte {
	var space [160]byte // up to 99 digits
	digits := space[:0]
	var plain [64]byte
	text := strconv.AppendUint(plain[:0], n, base)
	if n == 0 && d.precision == 0 {
		text = nil
	}
	least := max(d.precision, 0)
	if base == 8 && d.alternative && (len(text) == 0 || text[0] != '0') {
		least = max(least, len(text)+1)
	}
	for len(digits)+len(text) < least {
		digits = append(digits, '0')
	}
	digits = append(digits, text...)
	if base == 16 && d.alternative && n != 0 {
		sign = "0x"
	}
	start := len(dst)
	dst = d.pad(dst, sign, string(digits), d.precision < 0)
	if d.verb == 'X' {
		upper(dst[start:])
	}
	return dst
}

func upper(b []byte) {
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
}

// float appends a number as %e, %f or %g, in capitals as %E and %G.
func (d *directive) float(dst []byte, f float64) []byte {
	precision := d.precision
	if precision < 0 {
		precision = 6
	}
	var space [maxNumber]byte
	verb := d.verb | 0x20
	digits := notFinite(f)
	finite := digits == ""
	switch {
	case !finite:
	case verb == 'g' && d.alternative:
		digits = string(appendAllDigits(space[:0], f, max(precision, 1)))
	default:
		text := strconv.AppendFloat(space[:0], f, verb, precision, 64)
		digits = string(text)
		if precision == 0 && d.alternative {
			digits = withPoint(digits)
		}
	}
	sign := d.sign()
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	start := len(dst)
	dst = d.pad(dst, sign, digits, finite)
	if d.verb < 'a' {
		upper(dst[start:])
	}
	return dst
}

// appendAllDigits is %#g: the zeros at the end stay.
func appendAllDigits(dst []byte, f float64, precision int) []byte {
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'e', precision-1, 64)
	text := string(dst[start:])
	exponent, _ := strconv.Atoi(text[strings.IndexByte(text, 'e')+1:])
	if exponent >= -4 && exponent < precision {
		text = string(strconv.AppendFloat(dst[:start], f, 'f', precision-1-exponent, 64)[start:])
	}
	return append(dst[:start], withPoint(text)...)
}

// withPoint puts a point behind the digits of a number without a fraction.
func withPoint(s string) string {
	if strings.IndexByte(s, '.') >= 0 {
		return s
	}
	end := strings.IndexByte(s, 'e')
	if end < 0 {
		end = len(s)
	}
	return s[:end] + "." + s[end:]
}

// longString is the length from which on %s without a precision takes strings as they are.
const longString = 100

func (d *directive) text(out *result, s string) {
	if d.precision < 0 && (len(s) >= longString || d.width == 0 && strings.IndexByte(s, 0) < 0) {
		out.add(s)
		return
	}
	s = cString(s)
	if d.precision >= 0 && d.precision < len(s) {
		s = s[:d.precision]
	}
	var space [maxNumber]byte
	out.addBytes(d.pad(space[:0], "", s, false))
}

// quote adds a string as a literal that Lua reads back.
func (r *result) quote(s string) {
	r.addByte('"')
	for {
		i := strings.IndexAny(s, "\"\\\n\r\x00")
		if i < 0 {
			r.add(s)
			r.addByte('"')
			return
		}
		r.add(s[:i])
		switch s[i] {
		case '\r':
			r.add(`\r`)
		case 0:
			r.add(`\000`)
		default:
			r.addByte('\\')
			r.addByte(s[i])
		}
		s = s[i+1:]
	}
}
