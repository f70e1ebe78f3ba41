package bindings

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"

	"luaserve/runtime"
)

func fortuneModule() *runtime.Module {
	return &runtime.Module{
		Name: "fortune",
		Doc:  "Hands out fortune cookies: a random one of those that were loaded, as a header or as a page.",
		Setups: []runtime.Setup{
			{Name: "fortune.load", Run: setupFortuneLoad,
				Doc: "Loads cookies from a file, in addition to those of other files. " +
					"Each line is one; in a file with lines of nothing but %, as fortune(6) has them, each text between two of those is one. " +
					"Control characters are dropped.",
				Example: `setup.fortune.load "fortunes.txt"`,
				Params:  []runtime.Param{{Name: "filename", Type: runtime.TString}}},
		},
		Actions: []runtime.ActionDef{
			{Name: "fortune.header", New: newFortuneHeader,
				Doc:     "Adds a cookie to the response as X-fortune, on one line and in ASCII. Without cookies nothing is added.",
				Example: `actions = { fortune.header(), respond "hello" }`},
			{Name: "fortune.page", New: newFortunePage,
				Doc:     "Answers GET and HEAD with a cookie.",
				Example: `actions = when(request.path:eq "/fortune", fortune.page())`},
		},
	}
}

// cookieBox holds the cookies of a program. It does not change once the script is loaded.
type cookieBox struct {
	cookies []string
}

type cookieBoxKey struct{}

func cookieBoxOf(b *runtime.Builder) *cookieBox {
	return b.Shared(cookieBoxKey{}, func() any { return &cookieBox{} }).(*cookieBox)
}

// draw returns a cookie at random, false when there is none.
func (c *cookieBox) draw() (string, bool) {
	if len(c.cookies) == 0 {
		return "", false
	}
	return c.cookies[rand.IntN(len(c.cookies))], true
}

// maxFortunes bounds a file, in bytes: all of it is held in memory.
const maxFortunes = 16 << 20

func setupFortuneLoad(b *runtime.Builder, args runtime.Args) error {
	if err := b.Files().Contains(args.Str(0)); err != nil {
		return err
	}
	text, err := b.Files().ReadFile(args.Str(0))
	if err != nil {
		return err
	}
	if len(text) > maxFortunes {
		return fmt.Errorf("%s is too large: %d bytes; at most %d are loaded", args.Str(0), len(text), maxFortunes)
	}
	box := cookieBoxOf(b)
	found := parseFortunes(text)
	box.cookies = append(box.cookies, found...)
	b.Log().Debug("fortune: cookies loaded", "file", args.Str(0), "count", len(found))
	return nil
}

// parseFortunes splits a file into cookies.
func parseFortunes(text []byte) []string {
	lines := strings.Split(strings.ReplaceAll(strings.ToValidUTF8(string(text), ""), "\r\n", "\n"), "\n")
	together := slices.Contains(lines, "%") // lines up to the next %
	var cookies, cookie []string
	bake := func() {
		if done := strings.Trim(strings.Join(cookie, "\n"), "\n"); strings.TrimSpace(done) != "" {
			cookies = append(cookies, done)
		}
		cookie = cookie[:0]
	}
	for _, line := range lines {
		if !together || line == "%" {
			bake()
		}
		if !together || line != "%" {
			cookie = append(cookie, strings.Map(dropControl, line))
		}
	}
	bake()
	return cookies
}

func dropControl(r rune) rune {
	if r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 {
		return -1
	}
	return r
}

func newFortuneHeader(b *runtime.Builder, _ runtime.Args) (runtime.Action, error) {
	box := cookieBoxOf(b)
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		if cookie, ok := box.draw(); ok {
			vr.Response.Header.Insert("X-fortune", onOneLine(cookie))
		}
		return nil
	}), nil
}

// onOneLine makes a field value of a cookie: words with single blanks, ASCII only.
func onOneLine(cookie string) string {
	ascii := strings.Map(func(r rune) rune {
		if r > '~' {
			return -1
		}
		return r
	}, cookie)
	return strings.Join(strings.Fields(ascii), " ")
}

func newFortunePage(b *runtime.Builder, _ runtime.Args) (runtime.Action, error) {
	box := cookieBoxOf(b)
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		if m := vr.Request.Method; m != http.MethodGet && m != http.MethodHead || !vr.HandleDirect() {
			return nil
		}
		cookie, ok := box.draw()
		if !ok {
			cookie = "The cookie box is empty."
		}
		vr.Response.Status = http.StatusOK
		vr.Response.Header.Set("Content-Type", "text/plain; charset=utf-8")
		vr.Out.AddString(cookie + "\n")
		return nil
	}), nil
}
