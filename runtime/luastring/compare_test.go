package luastring

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
)

// Thousands of calls, made up from a fixed seed, have the same results and messages here
// as in lua5.1.
func TestSameAsLua51(t *testing.T) {
	path := needLua(t)
	t.Setenv("TZ", "UTC")
	g := generator{rand.New(rand.NewPCG(5, 1))}
	var cases []string
	for range 4000 {
		cases = append(cases, g.pattern())
	}
	for range 2000 {
		cases = append(cases, g.format(), g.plain(), g.number())
	}
	cmd := exec.Command(path, "-e", oracleLoop)
	cmd.Env = append(cmd.Environ(), "TZ=UTC")
	cmd.Stdin = strings.NewReader(strings.Join(cases, "\n") + "\n")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(want) != len(cases) {
		t.Fatalf("lua5.1 answered %d of %d cases", len(want), len(cases))
	}
	L := newState(t)
	bad := 0
	for i, line := range cases {
		if got := eval(t, L, line); got != want[i] {
			if bad++; bad <= 20 {
				t.Errorf("%s\n got %s\nwant %s", line, got, want[i])
			}
		}
	}
	if bad > 20 {
		t.Errorf("%d differences in all", bad)
	}
}

// generator makes up calls.
type generator struct{ *rand.Rand }

func pick[T any](g generator, from ...T) T { return from[g.IntN(len(from))] }

func (g generator) from(alphabet string, most int) string {
	out := make([]byte, g.IntN(most+1))
	for i := range out {
		out[i] = alphabet[g.IntN(len(alphabet))]
	}
	return string(out)
}

func (g generator) subject() string {
	return pick(g, g.from("ab", 12), g.from("aAbB1 .-(", 16), g.from("abc\x00\xff\n%()[]", 10), "", "key = value", "a,b,,c", "THE (quick) fox")
}

func (g generator) luaPattern() string {
	if g.IntN(4) == 0 {
		return g.from("^$*+?.([%-])abAB1fz\x00 \xff", 8)
	}
	var out strings.Builder
	out.WriteString(pick(g, "", "", "", "^"))
	open := 0
	for range g.IntN(5) + 1 {
		switch g.IntN(9) {
		case 0:
			out.WriteString(pick(g, "(", "(", "()"))
			open++
		case 1:
			if open > 0 {
				out.WriteString(")")
				open--
			}
		case 2:
			out.WriteString(pick(g, "%bab", "%b()", "%f[a]", "%f[%w]", "%f[^b]", "%1", "%2"))
		default:
			out.WriteString(pick(g, "a", "b", ".", "%a", "%d", "%s", "%w", "%A", "%.", "%(", "[ab]", "[^a]", "[a-c]", "[%w_]", "[^%s,]", "[]]", "[^]]", "[a-]", "%z", "=", ","))
			out.WriteString(pick(g, "", "", "", "*", "+", "-", "?"))
		}
	}
	for ; open > 0 && g.IntN(8) > 0; open-- {
		out.WriteString(")")
	}
	out.WriteString(pick(g, "", "", "", "$"))
	return out.String()
}

// pattern is a call of a function with a pattern.
func (g generator) pattern() string {
	return patternCase(g.IntN(8), g.subject(), g.luaPattern(), g.replacement(), g.IntN(14)-5)
}

func (g generator) replacement() string {
	return pick(g, "x", "<%0>", "%1", "%2%1", "%%", "", "a%", "%a", g.from("ab%012", 5))
}

// patternCase is the call of one of eight kinds.
func patternCase(kind int, subject, pattern, replacement string, n int) string {
	s, p := quote(subject), quote(pattern)
	switch kind {
	case 0:
		return fmt.Sprintf("return n(string.find(%s, %s))", s, p)
	case 1:
		return fmt.Sprintf("return n(string.find(%s, %s, %d, %v))", s, p, n, n%3 == 0)
	case 2:
		return fmt.Sprintf("return n(string.match(%s, %s, %d))", s, p, n)
	case 3:
		return fmt.Sprintf("return n(all(%s, %s))", s, p)
	case 4:
		return fmt.Sprintf("return n(string.gsub(%s, %s, %s))", s, p, quote(replacement))
	case 5:
		return fmt.Sprintf("return n(string.gsub(%s, %s, %s, %d))", s, p, quote(replacement), n)
	case 6:
		return fmt.Sprintf("return n(string.gsub(%s, %s, { a = 'A', b = false, [1] = 2, ab = %d, bb = {} }))", s, p, n)
	default:
		return fmt.Sprintf("return n(string.gsub(%s, %s, function(a, b) if b then return b .. '|' .. a end if a == 'b' then return end return a end))", s, p)
	}
}

// value is an argument for format and the like.
func (g generator) value() string {
	if g.IntN(3) == 0 {
		return quote(pick(g, g.subject(), "12", " 0x1F ", "1e3", "nan", "-inf", strings.Repeat("x", 100), "a\x00b", "a\"\\\r\n"))
	}
	return g.numeral()
}

func (g generator) numeral() string {
	switch g.IntN(6) {
	case 0:
		return fmt.Sprint(g.IntN(600) - 300)
	case 1:
		return pick(g, "2^53", "-2^53", "2^63", "-2^63", "2^64", "1e300", "-1e300", "0.5", "1.5", "2.5", "-0.5", "1e15", "1e14", "1e-5", "5e-324")
	case 2:
		return fmt.Sprintf("%.17g", g.NormFloat64()*1000)
	case 3:
		return fmt.Sprintf("%d", int64(g.Uint64()>>(g.IntN(40)+11)))
	case 4:
		for {
			if f := math.Float64frombits(g.Uint64()); !math.IsNaN(f) && !math.IsInf(f, 0) {
				return fmt.Sprintf("%.17g", f)
			}
		}
	}
	return pick(g, "1/0", "-1/0", "0", "1", "-1", "100", "123456789012345", "nil", "true", "{}")
}

func (g generator) format() string {
	var format strings.Builder
	args := ""
	for range g.IntN(3) + 1 {
		format.WriteString(pick(g, "", "x", "%%", "\x00"))
		format.WriteString("%" + g.from("-+ #0", 3) + pick(g, "", "5", "12", "03", "99") + pick(g, "", "", ".", ".0", ".3", ".10", ".20"))
		format.WriteString(pick(g, "d", "i", "u", "o", "x", "X", "c", "e", "E", "f", "g", "G", "s", "q"))
		args += ", " + g.value()
	}
	if g.IntN(10) == 0 {
		format.WriteString(g.from("%-0123.dysqF", 6))
	}
	return formatCase(format.String(), args)
}

func formatCase(format, args string) string {
	return fmt.Sprintf("return n(string.format(%s%s))", quote(format), args)
}

// plain is a call of a function without patterns.
func (g generator) plain() string {
	s := g.value()
	place := func() string {
		return pick(g, fmt.Sprint(g.IntN(20)-10), fmt.Sprint(g.IntN(5)), "nil", "2.7", "-1.2", "'3'", "1e10", "-1e10")
	}
	switch g.IntN(12) {
	case 10:
		return fmt.Sprintf("return n((%s):%s(%s, %s))", quote(g.subject()), pick(g, "rep", "find", "gsub", "sub", "upper", "format"), pick(g, "nil", "{}", "2", "'a'"), pick(g, "nil", "{}", "2"))
	case 11:
		return fmt.Sprintf("local o = { f = string.%[1]s, %[1]s = string.%[1]s } return n(o:%[1]s())", pick(g, "rep", "find", "upper", "len"))
	case 0:
		return fmt.Sprintf("return n(string.sub(%s, %s, %s))", s, place(), place())
	case 1:
		return fmt.Sprintf("return n(string.byte(%s, %s, %s))", s, place(), place())
	case 2:
		return fmt.Sprintf("return n(string.rep(%s, %d))", s, g.IntN(10)-3)
	case 3:
		return fmt.Sprintf("return n(string.char(%s, %s))", g.numeral(), g.value())
	case 4:
		return fmt.Sprintf("return n(string.%s(%s))", pick(g, "upper", "lower", "reverse", "len"), s)
	case 5:
		return fmt.Sprintf("return n(string.%s())", pick(g, "upper", "byte", "rep", "find", "gsub", "format", "sub", "len", "match", "char"))
	case 6:
		return fmt.Sprintf("return n(table.concat({1, %s, %s, %s, 'x'}, %s, %s))", s, g.numeral(), g.numeral(), pick(g, "nil", "','", "1", "true"), pick(g, "nil", "1", "2", "4"))
	case 7:
		return fmt.Sprintf("return n(table.concat({%s, 'b', 'c'}, '-', %s, %s))", s, place(), pick(g, "1", "2", "3", "4", "nil"))
	case 8:
		return fmt.Sprintf("return n(os.date(%s, %d))", quote(g.dateFormat()), g.Int64N(1<<33)-1<<32)
	}
	return fmt.Sprintf("local d = os.date(%s, %d) return d.year, d.month, d.day, d.yday, d.wday, d.hour, d.min, d.sec, d.isdst", pick(g, "'*t'", "'!*t'"), g.Int64N(1<<33)-1<<32)
}

func (g generator) dateFormat() string {
	out := pick(g, "", "!")
	for range g.IntN(4) {
		verb := byte(' ' + g.IntN(95))
		if isDigit(verb) { // a width, for glibc only
			verb = 'd'
		}
		out += "%" + string(verb)
	}
	return out + pick(g, "", "%", " x")
}

// number is a conversion between numbers and text.
func (g generator) number() string {
	text := func() string {
		return quote(pick(g, "", " ", "-", "+", " \t") + pick(g, "", "0x", "0X", "0") + g.from("0123456789", 4) + pick(g, "", ".", "e", "e+1", "p3", "x", "_1", " 1", "f", ".5", "\x00z", " ", "inf", "nan"))
	}
	switch g.IntN(4) {
	case 0:
		return fmt.Sprintf("return n(tostring(%s))", strings.Replace(g.numeral(), "{}", "nil", 1))
	case 1:
		return fmt.Sprintf("return n(tonumber(%s))", text())
	case 2:
		return fmt.Sprintf("return n(tonumber(%s, %d))", text(), g.IntN(38)+1)
	}
	return fmt.Sprintf("return n(tonumber(%s, %s))", g.value(), pick(g, "nil", "10", "16", "36", "'8'", "2.5"))
}
