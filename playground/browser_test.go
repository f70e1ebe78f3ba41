package playground_test

import (
	"bytes"
	"context"
	"flag"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

var update = flag.Bool("update", false, "take the pictures of the documentation anew")

// browser starts Chromium once for all tests of a test function.
func browser(t *testing.T) context.Context {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		if os.Getenv("LUASERVE_REQUIRE_BACKENDS") == "1" {
			t.Fatal("chromium is not installed, and LUASERVE_REQUIRE_BACKENDS is 1")
		}
		t.Skip("chromium is not installed")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, // as root it has none
		chromedp.WSURLReadTimeout(time.Minute))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// look is how somebody looks at the page.
type look struct {
	width, height int64
	dark          bool
}

var (
	desktop = look{width: 1440, height: 900}
	phone   = look{width: 390, height: 844}
	tall    = look{width: 1440, height: 2000} // the whole tree is in sight, and thus in the document
)

// tab is a page of the playground that is open.
type tab struct {
	*testing.T
	ctx context.Context

	mu       sync.Mutex
	complain []string
}

// open opens the playground on a copy of testdata/site. Whatever the browser complains of
// (exceptions, what the Content-Security-Policy blocks) fails the test.
func open(t *testing.T, parent context.Context, l look, script string) *tab {
	t.Helper()
	server := serve(t, script)
	ctx, cancel := chromedp.NewContext(parent)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	b := &tab{T: t, ctx: ctx}
	err := chromedp.Listen(ctx, func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *cdpruntime.EventExceptionThrown:
			text := e.ExceptionDetails.Text
			if e.ExceptionDetails.Exception != nil {
				text += " " + e.ExceptionDetails.Exception.Description
			}
			b.complain = append(b.complain, text)
		case *cdplog.EventEntryAdded:
			if e.Entry.Level == cdplog.EntryLevelError {
				b.complain = append(b.complain, e.Entry.Text)
			}
		case *network.EventRequestWillBeSent:
			if url := e.Request.URL; !strings.HasPrefix(url, server.url) && !strings.HasPrefix(url, "data:") && !strings.HasPrefix(url, "blob:") {
				b.complain = append(b.complain, "a request to "+url)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, c := range b.complain {
			t.Errorf("the browser complains: %s", c)
		}
	})
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	command(b, cdplog.Enable, cdp.Empty{})
	command(b, network.Enable, network.EnableParams{})
	command(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: l.height, DeviceScaleFactor: 1, Mobile: l.width < 600})
	command(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	b.run(chromedp.Navigate(server.page()))
	b.wait(`document.querySelectorAll("#tree .row").length > 0 || document.querySelector("#problems button")`)
	return b
}

func (b *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.Fatal(err)
	}
}

// command sends a command of the protocol.
func command[P, R any](b *tab, c cdp.Command[P, R], params P) {
	b.Helper()
	if _, err := chromedp.Call(b.ctx, c, params); err != nil {
		b.Fatal(err)
	}
}

// eval returns the value of an expression.
func eval[T any](b *tab, expression string) T {
	b.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.Fatalf("%s: %v", expression, err)
	}
	return v
}

// wait waits until an expression is true.
func (b *tab) wait(expression string) {
	b.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if eval[bool](b, "Boolean("+expression+")") {
			return
		}
	}
	b.Fatalf("never true: %s; the page says:\n%s", expression, eval[string](b, "document.body.innerText"))
}

// press presses a key, with Control or Alt.
func (b *tab) press(key string, modifiers ...chromedp.KeyOption) {
	b.Helper()
	b.run(chromedp.KeyEvent(key, modifiers...))
}

// rows are the rows of the tree, with a star before those that the request has met.
func (b *tab) rows() []string {
	b.Helper()
	return eval[[]string](b, `[...document.querySelectorAll("#tree .row")].map((r) =>
		(r.classList.contains("met") ? "* " : "  ").repeat(1) + "  ".repeat(r.getAttribute("aria-level") - 1) + [...r.querySelectorAll("span")].map((s) => s.textContent).filter(Boolean).join(" "))`)
}

// ask types a URL and runs it by the keyboard.
func (b *tab) ask(url string) {
	b.Helper()
	b.run(chromedp.Focus(chromedp.CSS("#url")), chromedp.Focus(chromedp.CSS("#url")))
	eval[bool](b, `(document.getElementById("url").select(), true)`)
	b.press(url)
	b.press("\r", chromedp.KeyModifiers(chromedp.ModifierCtrl))
	b.wait(`document.querySelector("#run:not([aria-busy])") && !document.getElementById("status").hidden`)
}

// put replaces a line of the script, by the keyboard where that matters and by an input event
// of the browser for the text.
func (b *tab) put(line int, text string) {
	b.Helper()
	b.press("1", chromedp.KeyModifiers(chromedp.ModifierAlt))
	b.press(kb.Home, chromedp.KeyModifiers(chromedp.ModifierCtrl))
	for range line - 1 {
		b.press(kb.ArrowDown)
	}
	b.press(kb.Home)
	b.press(kb.Home) // the first one stops at the indentation
	b.press(kb.End, chromedp.KeyModifiers(chromedp.ModifierShift))
	if !eval[bool](b, "getSelection().isCollapsed") {
		b.press(kb.Backspace)
	}
	command(b, input.InsertText, input.InsertTextParams{Text: text})
}

// holds compares rows of the tree; those with false must not be there.
func (b *tab) holds(want map[string]bool) {
	b.Helper()
	got := b.rows()
	for row, is := range want {
		if slices.Contains(got, row) != is {
			b.Errorf("the row %q: expected %v in\n%s", row, is, strings.Join(got, "\n"))
		}
	}
}

// line is the line of the cursor.
func (b *tab) line() string {
	b.Helper()
	return eval[string](b, `document.querySelector(".cm-lineNumbers .cm-activeLineGutter")?.textContent ?? ""`)
}

// shot takes a picture of the page.
func (b *tab) shot() []byte {
	b.Helper()
	picture, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.Fatal(err)
	}
	return picture
}

// shrink writes a picture with 256 colours, which is enough for text and much smaller.
func shrink(shot []byte) ([]byte, error) {
	picture, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		return nil, err
	}
	// the colours that are there, in steps of 8, the most frequent ones first
	bounds := picture.Bounds()
	counts := map[color.RGBA]int{}
	at := func(x, y int) color.RGBA {
		r, g, b, _ := picture.At(x, y).RGBA()
		return color.RGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), 255}
	}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			counts[at(x, y)]++
		}
	}
	palette := mostFrequent(counts, 256)
	out := image.NewPaletted(bounds, palette)
	nearest := map[color.RGBA]uint8{}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			c := at(x, y)
			i, ok := nearest[c]
			if !ok {
				i = uint8(palette.Index(c))
				nearest[c] = i
			}
			out.SetColorIndex(x, y, i)
		}
	}
	var b bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	err = encoder.Encode(&b, out)
	return b.Bytes(), err
}

// TestPage drives the page as somebody does who sits before it. All of it is in one browser.
func TestPage(t *testing.T) {
	chromium := browser(t)
	t.Run("an error is shown at its line", func(t *testing.T) {
		b := open(t, chromium, desktop, "actions = {\n  respond 'x',\n}\n")
		b.put(2, "  redirct '/y',")
		b.wait(`document.querySelector(".cm-lintRange-error")`)
		if got := eval[string](b, `document.querySelector(".cm-lintRange-error").textContent`); got != "redirct" {
			t.Errorf("marked: %q", got)
		}
		if got := eval[string](b, `document.getElementById("problems").innerText`); !strings.Contains(got, `did you mean "redirect"?`) || !strings.Contains(got, "site.lua:2") {
			t.Errorf("problems: %q", got)
		}
		if got := eval[string](b, `document.getElementById("state").textContent`); got != "1 error" {
			t.Errorf("state: %q", got)
		}
		b.press(kb.F8)
		if got := b.line(); got != "2" {
			t.Errorf("F8 goes to line %s", got)
		}
		b.put(2, "  redirect '/y',")
		b.wait(`document.getElementById("state").textContent === "No problems"`)
	})
	t.Run("names are completed", func(t *testing.T) {
		b := open(t, chromium, desktop, "actions = {\n\n  respond 'x',\n}\n")
		for _, c := range []struct{ typed, offered, written string }{
			{"docr", "docroot", `  docroot "paths"`},
			{"header.a", "add", `  header.add("name", "value")`},
			{"when(request.pat", "path", `  when(request.path)`},
			{"when(request.path:pre", "prefix", `  when(request.path:prefix "value")`},
			{"function(vr) vr.req.ur", "uri", `  function(vr) vr.req.uri`},
			{"function(vr) vr:handle_d", "handle_direct", `  function(vr) vr:handle_direct()`},
		} {
			b.put(2, "  ")
			b.press(c.typed)
			b.wait(`document.querySelector(".cm-tooltip-autocomplete li[aria-selected]")`)
			if got := eval[[]string](b, `[...document.querySelectorAll(".cm-completionLabel")].map((e) => e.textContent)`); !slices.Contains(got, c.offered) {
				t.Errorf("%s: offered %q", c.typed, got)
			}
			time.Sleep(100 * time.Millisecond) // CodeMirror takes no key at once, lest somebody types ahead
			b.press("\t")
			b.wait(`!document.querySelector(".cm-tooltip-autocomplete")`)
			if got := eval[string](b, `document.querySelectorAll(".cm-line")[1].textContent`); got != c.written {
				t.Errorf("%s: wrote %q, want %q", c.typed, got, c.written)
			}
			b.press(kb.Escape)
		}
	})
	t.Run("a request lights its path", func(t *testing.T) {
		b := open(t, chromium, tall, "")
		b.ask("http://trac.example.net/wiki/Start")
		b.holds(map[string]bool{
			"*     when physical.is_file:is() saw \"FALSE\" no :18": true,
			"        static :19": true,
			"*         fastcgi \"unix:/run/trac.sock\" reached, not asked :20": true,
			"*     else taken :20": false,
			"    old.example.net redirect \"http://trac.example.net/\" :30":   true,
			"*       header.add \"X-Cleanurl\", \"miss\" :20":                 true,
			"*         response.header[\"X-Cleanurl\"] = \"miss\"":            true,
			"* when request.path:eq(\"/version\") saw \"/wiki/Start\" no :27": true,
		})
		b.ask("http://old.example.net/")
		b.holds(map[string]bool{"*   old.example.net redirect \"http://trac.example.net/\" answers :30": true, "      docroot \"htdocs\" :15": true})
		if got := eval[string](b, `document.getElementById("status").textContent`); got != "301 Moved Permanently" {
			t.Errorf("status %q", got)
		}
		b.put(1, "setup.mime_types \"default\" -- changed")
		b.wait(`document.body.classList.contains("old-response") && !document.querySelector("#tree .decisive")`)
		b.put(1, "setup.mime_typos \"default\"")
		b.wait(`document.body.classList.contains("old-tree") && document.querySelector("#problems button")`)
		if n := len(b.rows()); n == 0 {
			t.Error("a script with an error has no tree any more")
		}
	})
	t.Run("the tree and the script know of each other", func(t *testing.T) {
		b := open(t, chromium, tall, "")
		eval[bool](b, `([...document.querySelectorAll("#tree .row")].find((r) => r.textContent.includes("redirect")).click(), true)`)
		if got := b.line(); got != "30" {
			t.Errorf("a click goes to line %s", got)
		}
		if got := eval[string](b, `document.querySelector(".cm-marked").textContent`); !strings.Contains(got, "old.example.net") {
			t.Errorf("marked: %q", got)
		}
		eval[bool](b, `(document.querySelector(".cm-content").focus(), true)`)
		b.press(kb.ArrowUp)
		b.press(kb.ArrowUp)
		b.wait(`document.querySelector("#tree .here")?.textContent.includes("vhost.map")`)
	})
	t.Run("by the keyboard alone", func(t *testing.T) {
		b := open(t, chromium, desktop, "")
		b.press("2", chromedp.KeyModifiers(chromedp.ModifierAlt))
		eval[bool](b, `(document.activeElement.select(), true)`)
		b.press("http://trac.example.net/version")
		b.press("\r", chromedp.KeyModifiers(chromedp.ModifierCtrl))
		b.wait(`document.querySelector("#part-body pre")?.textContent.includes("trac")`)
		b.press("3", chromedp.KeyModifiers(chromedp.ModifierAlt))
		b.press(kb.Home)
		for range 2 {
			b.press(kb.ArrowDown)
		}
		active := func() string {
			return eval[string](b, `document.getElementById(document.getElementById("tree").getAttribute("aria-activedescendant")).innerText.replaceAll("\n", " ")`)
		}
		if got := active(); !strings.Contains(got, "any{") {
			t.Errorf("active: %q", got)
		}
		b.press(kb.ArrowLeft) // closes it
		b.wait(`document.querySelectorAll("#tree .row")[2].getAttribute("aria-expanded") === "false"`)
		b.press(kb.ArrowRight)
		b.wait(`document.querySelectorAll("#tree .row")[2].getAttribute("aria-expanded") === "true"`)
		for _, kind := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeRawKeyDown, input.DispatchKeyEventTypeKeyUp} { // without the character, which the page prevents
			command(b, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: kind, Key: "Enter", Code: "Enter", WindowsVirtualKeyCode: 13})
		}
		if got := b.line(); got != "25" {
			t.Errorf("Enter goes to line %s", got)
		}
		if got := eval[string](b, `document.activeElement.getAttribute("aria-label")`); got != "Script" {
			t.Errorf("the focus is in %q", got)
		}
		// Tab leads through all parts of the page and is caught nowhere
		seen := map[string]bool{}
		for range 30 {
			b.press("\t")
			seen[eval[string](b, `document.activeElement.id || document.activeElement.className || document.activeElement.tagName`)] = true
		}
		for _, id := range []string{"save", "method", "url", "run", "backends", "curl", "tree", "tab-body", "part-body"} {
			if !seen[id] {
				t.Errorf("Tab does not lead to %s: %v", id, seen)
			}
		}
	})
	t.Run("requests are kept, and the script is saved", func(t *testing.T) {
		b := open(t, chromium, desktop, "")
		b.ask("http://x/first")
		b.run(chromedp.Click(chromedp.CSS("#add")))
		b.ask("http://x/second")
		b.put(1, "setup.mime_types \"default\" -- changed")
		b.press("s", chromedp.KeyModifiers(chromedp.ModifierCtrl))
		b.wait(`document.getElementById("toast").textContent === "Saved"`)
		if text, err := os.ReadFile("site.lua"); err != nil || !strings.HasPrefix(string(text), "setup.mime_types \"default\" -- changed\n") {
			t.Errorf("saved: %.60q, %v", text, err)
		}
		b.run(chromedp.Reload())
		b.wait(`document.querySelectorAll("#requests [role=tab]").length === 2`)
		if got := eval[string](b, `document.getElementById("url").value`); got != "http://x/second" {
			t.Errorf("URL: %q", got)
		}
		if got := eval[string](b, `location.href`); strings.Contains(got, "#") {
			t.Errorf("the key stays in the address: %s", got)
		}
	})
	t.Run("5,000 rules", func(t *testing.T) {
		b := open(t, chromium, desktop, "local all = {}\nfor i = 1, 5000 do\n  all[i] = when(request.path:eq('/' .. i), { respond(200, 'x') })\nend\nactions = all\n")
		b.ask("http://x/4000")
		if n := eval[int](b, `document.querySelectorAll("#tree .row").length`); n > 100 {
			t.Errorf("%d rows are in the document", n)
		}
		b.wait(`document.querySelector("#tree .decisive")?.textContent.includes("answers")`)
		if got := b.rows(); !slices.Contains(got, "  3999 conditions that do not hold :3–3") && !slices.Contains(got, "* 3999 conditions that do not hold :3–3") {
			t.Errorf("got %q", got)
		}
	})
}

// The page fits and can be read in light and dark, on a desk and on a phone. With -update the
// pictures of the documentation are taken.
func TestLooks(t *testing.T) {
	chromium := browser(t)
	for name, l := range map[string]look{"light": desktop, "dark": {1440, 900, true}, "phone": phone, "phone-dark": {390, 844, true}, "tablet": {820, 1100, false}} {
		t.Run(name, func(t *testing.T) {
			b := open(t, chromium, l, "")
			for i, url := range []string{"http://trac.example.net/version", "http://old.example.net/", "http://trac.example.net/wiki/Start"} {
				if i > 0 {
					b.run(chromedp.Click(chromedp.CSS("#add")))
				}
				b.ask(url)
			}
			if name == "light" {
				b.run(chromedp.Click(chromedp.CSS("#request-0")), chromedp.Click(chromedp.CSS("#run")))
				b.wait(`document.querySelector("#part-body pre")`)
			}
			b.wait(`document.querySelector("#tree .decisive")`)
			for _, view := range []string{"script", "pipeline", "response"} {
				if l.width < 900 {
					b.run(chromedp.Click(chromedp.CSS(`.views [data-view="` + view + `"]`)))
				}
				if wide := eval[int](b, `document.documentElement.scrollWidth`); wide > int(l.width) {
					t.Errorf("%s: the page is %d wide", view, wide)
				}
				if got := eval[[]string](b, outside); len(got) > 0 {
					t.Errorf("%s: outside of the screen: %q", view, got)
				}
				if got := eval[[]string](b, pale); len(got) > 0 {
					t.Errorf("%s: too little contrast: %q", view, got)
				}
				if got := eval[[]string](b, nameless); len(got) > 0 {
					t.Errorf("%s: without a name: %q", view, got)
				}
			}
			if l.width < 900 {
				b.run(chromedp.Click(chromedp.CSS(`.views [data-view="pipeline"]`)))
			}
			if *update && slices.Contains([]string{"light", "dark", "phone"}, name) {
				b.run(chromedp.Sleep(500 * time.Millisecond))
				picture, err := shrink(b.shot())
				if err == nil {
					err = os.WriteFile(filepath.Join(here, "../docs/playground-"+name+".png"), picture, 0o644)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
}

const (
	// outside are the controls that are seen and stand out of the screen.
	outside = `[...document.querySelectorAll("button, input, select, textarea, h2, .chip")].filter((e) => e.checkVisibility() && !e.closest(".hidden, #requests, .cm-editor"))
		.filter((e) => { const r = e.getBoundingClientRect(); return r.left < 0 || r.right > innerWidth + 0.5; }).map((e) => e.id || e.textContent)`
	// pale are texts with a contrast of less than 4.5 to what is behind them (WCAG 2.2, 1.4.3).
	pale = `(() => {
		const parse = (c) => { const m = c.match(/[\d.]+/g).map(Number); return { r: m[0], g: m[1], b: m[2], a: m[3] ?? 1 }; };
		const light = ({ r, g, b }) => { const f = (v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
		const found = [];
		for (const e of document.querySelectorAll("body *")) {
			if (!e.checkVisibility({ opacityProperty: true }) || e.closest(".hidden, svg, option") || ![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) continue;
			let behind = e;
			while (behind && parse(getComputedStyle(behind).backgroundColor).a < 1) behind = behind.parentElement;
			if (!behind) continue;
			const [a, b] = [light(parse(getComputedStyle(e).color)), light(parse(getComputedStyle(behind).backgroundColor))].sort((x, y) => y - x);
			const contrast = (a + 0.05) / (b + 0.05);
			if (contrast < 4.5) found.push(e.textContent.slice(0, 30) + " " + contrast.toFixed(1));
		}
		return found;
	})()`
	// nameless are controls that a screen reader has no name for.
	nameless = `[...document.querySelectorAll("button, input, select, textarea, [role=tree], [role=tablist]")].filter((e) => e.checkVisibility() &&
		!e.textContent.trim() && !e.ariaLabel && !e.labels?.length && !e.getAttribute("aria-labelledby")).map((e) => e.outerHTML.slice(0, 80))`
)
