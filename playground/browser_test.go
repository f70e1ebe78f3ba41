package playground_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

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
			{"fastcgi { read_", "read_timeout", `  fastcgi { read_timeout = }`},
			{"balance.rr { check = { int", "interval", `  balance.rr { check = { interval = }}`},
			{"userdir('x', { ex", "exclude", `  userdir('x', { exclude = })`},
			{"function(vr) vr:handle_d", "handle_direct", `  function(vr) vr:handle_direct()`},
		} {
			b.put(2, "  ")
			b.press(c.typed)
			// what is offered to the first letters may still be there
			b.wait(fmt.Sprintf(`document.querySelector(".cm-tooltip-autocomplete li[aria-selected]") &&
				[...document.querySelectorAll(".cm-completionLabel")].some((e) => e.textContent === %q)`, c.offered))
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
