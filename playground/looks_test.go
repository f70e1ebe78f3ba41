package playground_test

import (
	"bytes"
	"flag"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

var update = flag.Bool("update", false, "take the pictures of the documentation anew")

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
