package luastring

import (
	"fmt"
	"math"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// osDate is os.date(format, time): C's strftime in the C locale, as glibc has it.
func osDate(c call) int {
	format := cString(c.optStr(1, "%c"))
	seconds := time.Now().Unix()
	if c.L.Get(2) != lua.LNil {
		seconds = toInt64(c.number(2))
	}
	const secondsPerYear = 365.2425 * 24 * 3600
	if math.Abs(float64(seconds)/secondsPerYear) > math.MaxInt32 { // C's years are an int
		return c.pushNil()
	}
	t := time.Unix(seconds, 0)
	zone, _ := t.Zone()
	if utc, ok := strings.CutPrefix(format, "!"); ok {
		format, t, zone = utc, t.UTC(), "GMT"
	}
	if format == "*t" {
		return c.pushDate(t)
	}
	out := result{c: c}
	for {
		text, rest, found := strings.Cut(format, "%")
		out.add(text)
		if !found {
			return c.pushString(out.String())
		}
		if rest == "" {
			out.addByte('%')
			return c.pushString(out.String())
		}
		out.add(dateField(t, zone, rest[0]))
		format = rest[1:]
	}
}

func (c call) pushDate(t time.Time) int {
	date := c.L.CreateTable(0, 9)
	for _, field := range []struct {
		name  string
		value int
	}{
		{"sec", t.Second()}, {"min", t.Minute()}, {"hour", t.Hour()}, {"day", t.Day()}, {"month", int(t.Month())},
		{"year", t.Year()}, {"wday", int(t.Weekday()) + 1}, {"yday", t.YearDay()},
	} {
		date.RawSetString(field.name, lua.LNumber(field.value))
	}
	date.RawSetString("isdst", lua.LBool(t.IsDST()))
	c.L.Push(date)
	return 1
}

// dateLayouts are the conversions that Go's time layouts can express.
var dateLayouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'h': "Jan", 'B': "January", 'd': "02",
	'D': "01/02/06", 'e': "_2", 'H': "15", 'I': "03", 'm': "01", 'M': "04", 'p': "PM", 'P': "pm", 'r': "03:04:05 PM",
	'R': "15:04", 'S': "05", 'T': "15:04:05", 'x': "01/02/06", 'X': "15:04:05", 'z': "-0700",
}

// dateField is one conversion; an unknown one stands for itself.
func dateField(t time.Time, zone string, verb byte) string {
	if layout, ok := dateLayouts[verb]; ok {
		return t.Format(layout)
	}
	isoYear, isoWeek := t.ISOWeek()
	switch verb {
	case 'c':
		return t.Format("Mon Jan _2 15:04:05 ") + fmt.Sprint(t.Year())
	case 'C':
		return fmt.Sprintf("%02d", floorDiv(t.Year(), 100))
	case 'F':
		return fmt.Sprintf("%d-%s", t.Year(), t.Format("01-02"))
	case 'g':
		return fmt.Sprintf("%02d", isoYear-100*floorDiv(isoYear, 100))
	case 'G':
		return fmt.Sprint(isoYear)
	case 'j':
		return fmt.Sprintf("%03d", t.YearDay())
	case 'k':
		return fmt.Sprintf("%2d", t.Hour())
	case 'l':
		return fmt.Sprintf("%2d", (t.Hour()+11)%12+1)
	case 'n':
		return "\n"
	case 's':
		return fmt.Sprint(t.Unix())
	case 't':
		return "\t"
	case 'u':
		return fmt.Sprint((int(t.Weekday())+6)%7 + 1)
	case 'U': // weeks that begin on Sunday
		return fmt.Sprintf("%02d", (t.YearDay()+6-int(t.Weekday()))/7)
	case 'V':
		return fmt.Sprintf("%02d", isoWeek)
	case 'w':
		return fmt.Sprint(int(t.Weekday()))
	case 'W': // weeks that begin on Monday
		return fmt.Sprintf("%02d", (t.YearDay()+6-(int(t.Weekday())+6)%7)/7)
	case 'y':
		return fmt.Sprintf("%02d", t.Year()-100*floorDiv(t.Year(), 100))
	case 'Y':
		return fmt.Sprint(t.Year())
	case 'Z':
		return zone
	case '%':
		return "%"
	}
	return string([]byte{'%', verb})
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
