package playground_test

import (
	"context"
	"os"
	"os/exec"
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
	ctx, cancel = context.WithTimeout(ctx, 5*time.Minute)
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
