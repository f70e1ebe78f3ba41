// Package devpage makes the page that shows what went wrong with a request to those who
// develop a site: the message, the lines of the script, the calls that led there, and the
// request. It shows parts of the script to whoever asks: a server shows it in development
// only.
package devpage

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"luaserve/runtime"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// report is what is told of an error.
type report struct {
	Status  int     `json:"status"`
	Title   string  `json:"-"`
	Message string  `json:"message"`
	Place   string  `json:"place,omitempty"`  // site.lua:12
	Action  string  `json:"action,omitempty"` // the action of the pipeline, with its place
	Source  []line  `json:"source,omitempty"`
	Calls   []call  `json:"traceback,omitempty"`
	Request request `json:"request"`
}

// line is a line of a script.
type line struct {
	Number int    `json:"line"`
	Text   string `json:"text"`
	Marked bool   `json:"marked,omitempty"`
}

// call is an entry of the traceback.
type call struct {
	Text string `json:"call"` // as Lua says it
	Code string `json:"code,omitempty"`
}

type request struct {
	Line   string  `json:"line"` // GET /path HTTP/1.1
	Client string  `json:"client,omitempty"`
	Fields []field `json:"headers"`
}

type field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// around is how many lines are shown before and behind the one that failed.
const around = 6

// Page describes an error to the client that has caused it, in the form that it accepts: HTML
// for browsers, JSON, or else text. It is for [runtime.Config.ErrorPage].
func Page(vr *runtime.VRequest, status int, err error) (contentType, body string) {
	if status < http.StatusInternalServerError {
		return "", "" // the client's mistake, not the script's
	}
	r := describe(vr, status, err)
	accept := vr.Request.Header.Get("Accept")
	switch {
	case strings.Contains(accept, "text/html"):
		var b bytes.Buffer
		if err := page.Execute(&b, r); err != nil {
			return "", ""
		}
		return "text/html; charset=utf-8", b.String()
	case strings.Contains(accept, "json"):
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetIndent("", "  ")
		if err := enc.Encode(r); err != nil {
			return "", ""
		}
		return "application/json", b.String()
	}
	return "text/plain; charset=utf-8", r.text()
}

// luaPlace finds a place in what Lua says.
var luaPlace = regexp.MustCompile(`^\s*(.+?):(\d+):\s?`)

func describe(vr *runtime.VRequest, status int, err error) *report {
	scripts := sources{files: vr.Program().Files()}
	r := &report{Status: status, Title: fmt.Sprintf("%d %s", status, runtime.StatusText(status)), Message: err.Error(), Request: requestOf(vr)}
	if ae, ok := errors.AsType[*runtime.ActionError](err); ok {
		r.Action = strings.TrimSpace(ae.Node.Name + " " + ae.Node.Pos.String())
		r.Message = ae.Err.Error()
		r.show(&scripts, ae.Node.Pos)
	}
	if le, ok := errors.AsType[*runtime.LoadError](err); ok {
		r.Title, r.Message = "The script does not load", le.Msg
		if !r.show(&scripts, le.Pos) {
			r.Message = le.Error()
		}
		r.addCalls(&scripts, le.Traceback)
		return r
	}
	le, ok := errors.AsType[*runtime.LuaError](err)
	if !ok {
		return r
	}
	r.Title, r.Message = "Lua error", le.Msg
	if m := luaPlace.FindStringSubmatch(le.Msg); m != nil {
		line, _ := strconv.Atoi(m[2])
		if r.show(&scripts, runtime.Pos{File: m[1], Line: line}) {
			r.Message = le.Msg[len(m[0]):]
		}
	}
	r.addCalls(&scripts, le.Traceback)
	return r
}

// addCalls reads a traceback.
func (r *report) addCalls(scripts *sources, traceback string) {
	for text := range strings.SplitSeq(traceback, "\n") {
		text = strings.TrimSpace(text)
		if text == "" || text == "stack traceback:" || text == "[G]: ?" {
			continue
		}
		c := call{Text: text}
		if m := luaPlace.FindStringSubmatch(text); m != nil {
			n, _ := strconv.Atoi(m[2])
			c.Code = strings.TrimSpace(scripts.line(m[1], n))
		}
		r.Calls = append(r.Calls, c)
	}
}

// show shows the lines around a place of a script.
func (r *report) show(scripts *sources, pos runtime.Pos) bool {
	lines := scripts.lines(pos.File)
	if pos.Line < 1 || pos.Line > len(lines) {
		return false
	}
	r.Place, r.Source = pos.String(), nil
	for n := max(pos.Line-around, 1); n <= min(pos.Line+around, len(lines)); n++ {
		r.Source = append(r.Source, line{n, lines[n-1], n == pos.Line})
	}
	return true
}

// sources are the scripts of the program. Only those are read: what an error says is its place
// may come from a client.
type sources struct {
	files []string
	read  map[string][]string
}

func (s *sources) lines(file string) []string {
	if !slices.Contains(s.files, file) && !slices.Contains(s.files, filepath.Clean(file)) {
		return nil
	}
	if s.read == nil {
		s.read = map[string][]string{}
	}
	if _, known := s.read[file]; !known {
		src, _ := os.ReadFile(file)
		s.read[file] = strings.Split(strings.TrimSuffix(strings.ReplaceAll(string(src), "\r\n", "\n"), "\n"), "\n")
	}
	return s.read[file]
}

func (s *sources) line(file string, n int) string {
	if lines := s.lines(file); n >= 1 && n <= len(lines) {
		return lines[n-1]
	}
	return ""
}

func requestOf(vr *runtime.VRequest) request {
	uri := &vr.Request.URI
	r := request{Line: vr.Request.Method + " " + uri.Scheme + "://" + uri.Authority + uri.RawPath + " " + vr.Request.Version}
	if a := vr.Con.Remote; a.IsValid() {
		r.Client = a.String()
	}
	for name, value := range vr.Request.Header.All() {
		r.Fields = append(r.Fields, field{name, value})
	}
	return r
}

// text is the report for terminals.
func (r *report) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", r.Title, r.Message)
	if r.Place != "" {
		fmt.Fprintf(&b, "\n%s\n", r.Place)
	}
	for _, l := range r.Source {
		mark := " "
		if l.Marked {
			mark = ">"
		}
		fmt.Fprintf(&b, "%s %4d | %s\n", mark, l.Number, l.Text)
	}
	if len(r.Calls) > 0 {
		b.WriteString("\ncalls, the last one first:\n")
	}
	for _, c := range r.Calls {
		fmt.Fprintf(&b, "  %s\n", c.Text)
		if c.Code != "" {
			fmt.Fprintf(&b, "      %s\n", c.Code)
		}
	}
	if r.Action != "" {
		fmt.Fprintf(&b, "\naction: %s\n", r.Action)
	}
	fmt.Fprintf(&b, "\n%s\n", r.Request.Line)
	for _, f := range r.Request.Fields {
		fmt.Fprintf(&b, "%s: %s\n", f.Name, f.Value)
	}
	return b.String()
}
