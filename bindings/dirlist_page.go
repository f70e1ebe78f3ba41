package bindings

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"luaserve/runtime"
)

// dirColumn is a column of the list.
type dirColumn struct {
	key, title string
	descends   bool // the first click sorts the greatest to the top
	compare    func(a, b *dirEntry) int
}

var dirColumns = []dirColumn{
	{"name", "Name", false, func(a, b *dirEntry) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.name, b.name)) }},
	{"modified", "Modified", true, func(a, b *dirEntry) int { return a.modified.Compare(b.modified) }},
	{"size", "Size", true, func(a, b *dirEntry) int { return cmp.Compare(a.size, b.size) }},
	{"type", "Type", false, func(a, b *dirEntry) int { return cmp.Compare(a.typ, b.typ) }},
}

// chooseOrder reads ?sort=size&order=desc; everything else is ignored.
func (l *dirListing) chooseOrder(query string) {
	l.order = l.sort
	values, _ := url.ParseQuery(query)
	for _, c := range dirColumns {
		if c.key == values.Get("sort") {
			l.order, l.chosen = c.key, true
		}
	}
	l.descending = l.chosen && values.Get("order") == "desc"
}

// sortEntries puts directories first; what is equal is ordered by name.
func (l *dirListing) sortEntries() {
	byName, by := dirColumns[0].compare, dirColumns[0].compare
	for _, c := range dirColumns {
		if c.key == l.order {
			by = c.compare
		}
	}
	slices.SortFunc(l.entries, func(a, b dirEntry) int {
		switch {
		case a.dir != b.dir && a.dir:
			return -1
		case a.dir != b.dir:
			return 1
		}
		n := by(&a, &b)
		if l.descending {
			n = -n
		}
		return cmp.Or(n, byName(&a, &b))
	})
}

// keepOrder is the query that keeps the reader's order in the next directory.
func (l *dirListing) keepOrder() string {
	switch {
	case !l.chosen:
		return ""
	case l.descending:
		return "?sort=" + l.order + "&amp;order=desc"
	}
	return "?sort=" + l.order
}

const dirStyle = `<style>
:root{color-scheme:light dark;--text:#1f2328;--dim:#667;--line:#dde1e6;--back:#fff;--hover:#f3f6fa;--link:#0a58ca}
@media(prefers-color-scheme:dark){:root{--text:#e3e6ea;--dim:#98a0aa;--line:#30363d;--back:#15181c;--hover:#1f242b;--link:#7db4ff}}
*{box-sizing:border-box}
body{font:1rem/1.5 system-ui,sans-serif;color:var(--text);background:var(--back);max-width:64rem;margin:0 auto;padding:1.5rem 1rem}
h1{font-size:1.35rem;font-weight:600;margin:0 0 1rem;overflow-wrap:anywhere}
a{color:var(--link);text-decoration:none}a:hover,a:focus-visible{text-decoration:underline}
table{width:100%;border-collapse:collapse}
th,td{text-align:left;padding:.4rem .6rem;border-bottom:1px solid var(--line)}
th{font-size:.85rem;font-weight:600;white-space:nowrap}th a{color:var(--dim)}
th[aria-sort=ascending] a::after{content:" \2191"}th[aria-sort=descending] a::after{content:" \2193"}
tbody tr:hover{background:var(--hover)}
.name{overflow-wrap:anywhere}.dir .name a{font-weight:600}
.modified,.size,.type{color:var(--dim);font-size:.9rem;white-space:nowrap;font-variant-numeric:tabular-nums}.size{text-align:right}
pre{white-space:pre-wrap;overflow-wrap:anywhere;padding:.8rem;border:1px solid var(--line);border-radius:.4rem}
p,footer{color:var(--dim);font-size:.9rem}footer{margin-top:1rem}
@media(max-width:48rem){.type{display:none}}
@media(max-width:32rem){body{padding:1rem .25rem}th,td{padding:.55rem .4rem}.modified time span{display:none}}
</style>
`

// page makes the HTML. Whatever comes from outside is escaped: names, the path, the options.
func (l *dirListing) page() []byte {
	l.sortEntries()
	var b bytes.Buffer
	b.WriteString("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")
	fmt.Fprintf(&b, "<title>Index of %s</title>\n", shown(l.path))
	if l.css != "" {
		fmt.Fprintf(&b, "<link rel=\"stylesheet\" href=\"%s\">\n", html.EscapeString(l.css))
	} else {
		b.WriteString(dirStyle)
	}
	b.WriteString("</head>\n<body>\n")
	l.writeText(&b, "header", l.header)
	fmt.Fprintf(&b, "<h1>Index of %s</h1>\n", l.crumbs())
	l.writeTable(&b)
	if l.cut {
		fmt.Fprintf(&b, "<p>There is more in this directory: only %d entries were looked at.</p>\n", l.maxEntries)
	}
	l.writeText(&b, "readme", l.readme)
	if tag, _ := l.vr.Option(l.serverTag).(string); tag != "" {
		fmt.Fprintf(&b, "<footer>%s</footer>\n", html.EscapeString(tag))
	}
	b.WriteString("</body>\n</html>\n")
	return b.Bytes()
}

// writeText writes what HEADER.txt or README.txt says.
func (l *dirListing) writeText(b *bytes.Buffer, id string, inc included) {
	text := l.text(inc)
	switch {
	case text == "":
	case inc.encode:
		fmt.Fprintf(b, "<pre id=\"%s\">%s</pre>\n", id, html.EscapeString(strings.ToValidUTF8(text, "\uFFFD")))
	default:
		fmt.Fprintf(b, "<div id=\"%s\">%s</div>\n", id, text)
	}
}

// crumbs is the path with a link to each directory above.
func (l *dirListing) crumbs() string {
	segments := strings.SplitAfter(strings.TrimSuffix(l.path, "/"), "/")
	if l.path == "/" {
		return "/"
	}
	var b strings.Builder
	last := len(segments) - 1
	for i, s := range segments[:last] {
		fmt.Fprintf(&b, `<a href="%s%s">%s</a>`, strings.Repeat("../", last-i), l.keepOrder(), shown(s))
	}
	b.WriteString(shown(segments[last]) + "/")
	return b.String()
}

func (l *dirListing) writeTable(b *bytes.Buffer) {
	b.WriteString("<table>\n<thead><tr>")
	for _, c := range dirColumns {
		order, aria := "", ""
		switch {
		case c.key != l.order:
			if c.descends {
				order = "&amp;order=desc"
			}
		case l.descending:
			aria = ` aria-sort="descending"`
		default:
			aria, order = ` aria-sort="ascending"`, "&amp;order=desc"
		}
		fmt.Fprintf(b, `<th class="%s"%s><a href="?sort=%s%s">%s</a></th>`, c.key, aria, c.key, order, c.title)
	}
	b.WriteString("</tr></thead>\n<tbody>\n")
	if l.path != "/" {
		fmt.Fprintf(b, "<tr class=\"dir\"><td class=\"name\"><a href=\"../%s\">Parent directory</a></td><td class=\"modified\"></td><td class=\"size\"></td><td class=\"type\">Directory</td></tr>\n", l.keepOrder())
	}
	for i := range l.entries {
		l.writeEntry(b, &l.entries[i])
	}
	b.WriteString("</tbody>\n</table>\n")
}

// writeEntry writes one line. The link begins with "./", so that no name is taken for a scheme.
func (l *dirListing) writeEntry(b *bytes.Buffer, e *dirEntry) {
	class, slash, query := "file", "", ""
	if e.dir {
		class, slash, query = "dir", "/", l.keepOrder()
	}
	date := e.modified.UTC()
	fmt.Fprintf(b, `<tr class="%s"><td class="name"><a href="./%s%s%s"><bdi>%s%s</bdi></a></td>`, class, runtime.EncodePath(e.name), slash, query, shown(e.name), slash)
	fmt.Fprintf(b, `<td class="modified"><time datetime="%s">%s<span> %s</span></time></td>`, date.Format(time.RFC3339), date.Format("2006-01-02"), date.Format("15:04"))
	if e.dir {
		b.WriteString(`<td class="size"></td>`)
	} else {
		fmt.Fprintf(b, `<td class="size" title="%d bytes">%s</td>`, e.size, humanSize(e.size))
	}
	fmt.Fprintf(b, "<td class=\"type\">%s</td></tr>\n", html.EscapeString(e.typ))
}

// humanSize prints a size with at most three digits and a unit.
func humanSize(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	size := float64(n)
	for _, unit := range []string{"KiB", "MiB", "GiB", "TiB", "PiB"} {
		size /= 1024
		if size < 9.95 {
			return fmt.Sprintf("%.1f %s", size, unit)
		}
		if size < 999.5 {
			return fmt.Sprintf("%.0f %s", size, unit)
		}
	}
	return fmt.Sprintf("%.0f EiB", size/1024)
}

// shown makes HTML of a name. What would hide a part of it, or turn its letters around, is
// replaced: "exe.txt" may be "txt.exe" in disguise.
func shown(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(name, "\uFFFD"))
	return html.EscapeString(name)
}
