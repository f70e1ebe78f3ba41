package bindings

import (
	"fmt"
	"html/template"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// statusPage is what the page of status.info and debug.show_connections is made of.
type statusPage struct {
	Snap    *snapshot // nil for the page of the connections alone
	Short   bool
	Runtime bool
	CSS     string
	Refresh int // seconds, 0 for never
	Active  []inFlightRequest
	Chosen  []inFlightRequest // shown in full
}

// rate is a row of the table of rates.
type rate struct {
	Name, Total, Average, Recent string
}

// Rates returns the rows of the table of rates.
func (p statusPage) Rates() []rate {
	s := p.Snap
	row := func(name string, of func(counts) int64, text func(float64) string) rate {
		return rate{name, text(float64(of(s.counts))), text(s.Average(of)) + "/s", text(s.Recent(of)) + "/s"}
	}
	return []rate{row("Requests", counts.requests, numberText), row("Sent", counts.out, sizeText), row("Received", counts.in, sizeText)}
}

// class is a row of the table of status codes.
type class struct {
	Name    string
	Count   int64
	Percent float64
}

// ClassRows returns the classes of status codes that exist.
func (p statusPage) ClassRows() []class {
	var rows []class
	for i, name := range []string{"other", "1xx informational", "2xx successful", "3xx redirection", "4xx client error", "5xx server error"} {
		if n := p.Snap.Classes[i]; n > 0 || i >= 2 {
			rows = append(rows, class{name, n, 100 * float64(n) / float64(max(p.Snap.Requests, 1))})
		}
	}
	return rows
}

func (p statusPage) render() (string, error) {
	var b strings.Builder
	err := statusTemplate().Execute(&b, p)
	return b.String(), err
}

// refreshSeconds reads ?refresh=; nothing sensible is 0.
func refreshSeconds(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 3600 {
		return 0
	}
	return n
}

func numberText(f float64) string {
	if f >= 100 || f == float64(int64(f)) {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprintf("%.1f", f)
}

func sizeText(f float64) string {
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if f < 1024 {
			if unit == "B" {
				return fmt.Sprintf("%.0f B", f)
			}
			return fmt.Sprintf("%.1f %s", f, unit)
		}
		f /= 1024
	}
	return fmt.Sprintf("%.1f TiB", f)
}

// timeText prints a duration as people say it, by its two largest units.
func timeText(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	s := int64(d / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%d h %d min", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%d d %d h", s/86400, s%86400/3600)
}

var statusTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("status").Funcs(template.FuncMap{
		"size": func(n uint64) string { return sizeText(float64(n)) },
		"time": timeText,
		"fine": func(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) },
		"base": filepath.Base,
		"join": strings.Join,
		"ago":  func(t time.Time) string { return timeText(time.Since(t)) },
		"addr": func(a netip.AddrPort) string {
			if !a.IsValid() {
				return "unix socket"
			}
			return a.String()
		},
	}).Parse(statusHTML))
})

const statusHTML = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{{with .Refresh}}<meta http-equiv="refresh" content="{{.}}">
{{end}}<title>{{if .Snap}}Server status{{else}}Requests in progress{{end}}</title>
{{if and .CSS (ne .CSS "blue")}}<link rel="stylesheet" href="{{.CSS}}">{{else}}<style>
:root{color-scheme:light dark;--text:#1f2328;--dim:#667;--line:#dde1e6;--back:#f6f7f9;--card:#fff;--link:#0a58ca;--bar:#7aa7e9}
@media(prefers-color-scheme:dark){:root{--text:#e3e6ea;--dim:#98a0aa;--line:#30363d;--back:#15181c;--card:#1c2026;--link:#7db4ff;--bar:#35588a}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:64rem;padding:1.5rem 1rem;font:16px/1.45 system-ui,sans-serif;color:var(--text);background:var(--back)}
header{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;align-items:baseline}
h1{font-size:1.5rem;margin:0}h2{font-size:1.05rem;margin:1.8rem 0 .6rem}
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}
.dim{color:var(--dim)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(10rem,1fr));gap:.7rem;margin-top:1.2rem}
.card,.wide{background:var(--card);border:1px solid var(--line);border-radius:.6rem}
.card{padding:.7rem .9rem}.card b{display:block;font-size:1.35rem;font-weight:600;font-variant-numeric:tabular-nums}
.card span{color:var(--dim);font-size:.85rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.45rem .9rem;text-align:left;border-top:1px solid var(--line);white-space:nowrap}
tr:first-child>*{border-top:0}thead th{color:var(--dim);font-weight:500;font-size:.85rem}
tbody th{font-weight:500}.n{text-align:right}.url{white-space:normal;overflow-wrap:anywhere;min-width:10rem}
.bar{width:40%}.bar i{display:block;height:.6rem;border-radius:.3rem;background:var(--bar)}
</style>{{end}}
</head>
<body>
{{with .Snap}}<header><h1>Server status</h1>{{if not $.Short}}<nav>{{if $.Runtime}}<a href="?">overview</a>{{else}}<a href="?mode=runtime">process</a>{{end}} · <a href="?format=plain">plain</a></nav>{{end}}</header>
<div class="cards">
<div class="card"><b>{{.Requests}}</b><span>requests</span></div>
<div class="card"><b>{{.InFlight}}</b><span>in progress</span></div>
<div class="card"><b>{{time .Uptime}}</b><span>since {{.Started.Format "2 Jan 2006, 15:04"}}</span></div>
<div class="card"><b>{{size .Memory}}</b><span>memory</span></div>
</div>
{{if $.Runtime}}<h2>Process</h2>
<div class="wide"><table><tbody>
<tr><th>Script</th><td>{{.Script}}</td></tr>
<tr><th>Addresses</th><td>{{join .Addresses ", "}}</td></tr>
<tr><th>Lua states</th><td>{{.States}}{{with .OneState}} <span class="dim">one, because of {{.}}</span>{{end}}</td></tr>
<tr><th>Goroutines</th><td>{{.Goroutines}}</td></tr>
<tr><th>Heap</th><td>{{size .Heap}}</td></tr>
<tr><th>Processors</th><td>{{.CPUs}}</td></tr>
<tr><th>Go</th><td>{{.GoVersion}}</td></tr>
</tbody></table></div>
{{else}}<h2>Traffic</h2>
<div class="wide"><table><thead><tr><th></th><th class="n">total</th><th class="n">average</th><th class="n">last 5 s</th></tr></thead><tbody>
{{range $.Rates}}<tr><th>{{.Name}}</th><td class="n">{{.Total}}</td><td class="n">{{.Average}}</td><td class="n">{{.Recent}}</td></tr>
{{end}}</tbody></table></div>
<h2>Answers</h2>
<div class="wide"><table><tbody>
{{range $.ClassRows}}<tr><th>{{.Name}}</th><td class="n">{{.Count}}</td><td class="n dim">{{printf "%.1f" .Percent}} %</td><td class="bar"><i style="width:{{printf "%.1f" .Percent}}%"></i></td></tr>
{{end}}</tbody></table></div>
{{if not $.Short}}{{range .Balancers}}<h2>Backends of {{base .Name}}{{with .Waiting}} <span class="dim">{{.}} waiting</span>{{end}}</h2>
<div class="wide"><table><thead><tr><th>backend</th><th>state</th><th class="n">in progress</th><th class="n">requests</th><th class="n">failed</th><th class="n">first byte</th></tr></thead><tbody>
{{range .Backends}}<tr><th>{{.Name}}</th><td>{{.State}}</td><td class="n">{{.InFlight}}</td><td class="n">{{.Requests}}</td><td class="n">{{.Failed}}</td><td class="n">{{with .Latency}}{{fine .}}{{end}}</td></tr>
{{end}}</tbody></table></div>
{{end}}{{end}}{{end}}{{else}}<header><h1>Requests in progress</h1><span class="dim">{{len .Active}}</span></header>
{{end}}{{if .Chosen}}<h2>Chosen</h2>
<div class="wide"><table><tbody>
{{range .Chosen}}<tr><th>#{{.ID}}</th><td class="url">{{.Method}} {{.Target}} {{.Proto}}<br><span class="dim">host {{.Host}}, {{if .TLS}}TLS{{else}}plain{{end}}, from {{addr .Client}} to {{addr .Server}}, began {{.Started.Format "15:04:05.000"}}</span></td><td class="n">{{ago .Started}}</td></tr>
{{end}}</tbody></table></div>
{{end}}{{if and .Active (not .Runtime)}}{{if .Snap}}<h2>In progress</h2>{{else}}<h2>All</h2>{{end}}
<div class="wide"><table><thead><tr><th>client</th><th>host</th><th>request</th><th class="n">for</th></tr></thead><tbody>
{{range .Active}}<tr><td>{{addr .Client}}</td><td>{{.Host}}</td><td class="url">{{if not $.Snap}}<a href="?con={{.ID}}">{{.Method}} {{.Target}}</a>{{else}}{{.Method}} {{.Target}}{{end}}</td><td class="n">{{ago .Started}}</td></tr>
{{end}}</tbody></table></div>
{{end}}</body>
</html>
`
