package demo

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"slices"
	"strings"
	"time"
)

// StartApplication runs the application on a unix socket. Closing the result ends it.
func StartApplication(socket string) (io.Closer, error) {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	go fcgi.Serve(l, http.HandlerFunc(application)) // ends with the listener
	return l, nil
}

// environ is what a WSGI application is told about a request (PEP 3333).
type environ struct {
	ScriptName, PathInfo, QueryString string
	All                               []variable
}

type variable struct{ Name, Value string }

// newEnviron puts the environment together again. net/http/fcgi keeps SCRIPT_NAME and
// PATH_INFO from its handlers, but PATH_TRANSLATED is DOCUMENT_ROOT with PATH_INFO behind
// it (RFC 3875, 4.1.6), so where the server split the path can be told from those.
func newEnviron(r *http.Request) environ {
	rest := fcgi.ProcessEnv(r)
	e := environ{QueryString: r.URL.RawQuery}
	e.PathInfo = strings.TrimPrefix(rest["PATH_TRANSLATED"], rest["DOCUMENT_ROOT"])
	e.ScriptName = strings.TrimSuffix(r.URL.Path, e.PathInfo)
	e.All = []variable{
		{"SCRIPT_NAME", e.ScriptName}, {"PATH_INFO", e.PathInfo}, {"QUERY_STRING", e.QueryString},
		{"REQUEST_METHOD", r.Method}, {"REQUEST_URI", r.URL.RequestURI()}, {"SERVER_PROTOCOL", r.Proto},
		{"HTTP_HOST", r.Host},
	}
	fixed := len(e.All)
	for name, value := range rest {
		e.All = append(e.All, variable{name, value})
	}
	for name, values := range r.Header {
		name = strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		e.All = append(e.All, variable{"HTTP_" + name, strings.Join(values, ", ")})
	}
	slices.SortFunc(e.All[fixed:], func(a, b variable) int { return strings.Compare(a.Name, b.Name) })
	return e
}

// application routes by PATH_INFO alone, as a WSGI application does: it neither knows nor
// cares where it is mounted.
func application(w http.ResponseWriter, r *http.Request) {
	e := newEnviron(r)
	switch {
	case e.PathInfo == "/stream":
		stream(w)
	case e.PathInfo == "/echo" && r.Method == http.MethodPost:
		echo(w, r, e)
	case e.PathInfo == "", e.PathInfo == "/", e.PathInfo == "/tracker", strings.HasPrefix(e.PathInfo, "/wiki"):
		answer(w, r, page{Status: http.StatusOK, Title: "The application", Environ: e})
	default:
		answer(w, r, page{Status: http.StatusNotFound, Title: "404: the application has no such page", Environ: e})
	}
}

// echo sends back what a form posted.
func echo(w http.ResponseWriter, r *http.Request, e environ) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p := page{Status: http.StatusOK, Title: "What the form posted", Environ: e}
	for name, values := range r.PostForm {
		p.Posted = append(p.Posted, variable{name, strings.Join(values, ", ")})
	}
	slices.SortFunc(p.Posted, func(a, b variable) int { return strings.Compare(a.Name, b.Name) })
	answer(w, r, p)
}

// stream sends a line every now and then; none of them waits for the others.
func stream(w http.ResponseWriter) {
	const lines = 8
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for i := range lines {
		if _, err := fmt.Fprintf(w, "%s line %d of %d\n", time.Now().Format("15:04:05.000"), i+1, lines); err != nil {
			return // the client went away
		}
		w.(http.Flusher).Flush()
		time.Sleep(400 * time.Millisecond)
	}
}

// page is what the application shows.
type page struct {
	Status  int
	Title   string
	Environ environ
	Posted  []variable
}

//go:embed application.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// answer writes HTML for browsers and plain text for everybody else.
func answer(w http.ResponseWriter, r *http.Request, p page) {
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(p.Status)
		pageTemplate.Execute(w, p) // an error is a client that went away
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(p.Status)
	fmt.Fprintf(w, "%s\n\n", p.Title)
	for _, v := range slices.Concat(p.Posted, p.Environ.All) {
		fmt.Fprintf(w, "%s=%s\n", v.Name, v.Value)
	}
}
