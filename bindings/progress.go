package bindings

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"luaserve/runtime"
)

func progressModule() *runtime.Module {
	return &runtime.Module{
		Name: "progress",
		Doc: "Tells a page how far an upload is: one request is tracked under an identifier that it brings along in its query (X-Progress-ID), another shows its state. " +
			"A reload begins with an empty table: requests that were tracked before are unknown afterwards.",
		Setups: []runtime.Setup{{
			Name: "progress.ttl", Run: setupProgressTTL,
			Doc:     "Sets for how long the state of a request that is over can be shown, 30 seconds by default.",
			Example: "setup.progress.ttl(60)",
			Params:  []runtime.Param{{Name: "ttl", Type: runtime.TNumber, Doc: "seconds"}},
		}},
		Actions: []runtime.ActionDef{
			{Name: "progress.track", New: newProgressTrack,
				Doc:     "Tracks the request if its query has an X-Progress-ID of 1 to 128 characters. Put it before the action that reads the body; a request that is answered already is not tracked.",
				Example: `actions = when(request.path:eq "/upload", { progress.track(), fastcgi "127.0.0.1:9000" })`},
			{Name: "progress.show", New: newProgressShow,
				Doc: "Answers with the state of the request that is tracked under the X-Progress-ID in the query; without one it does nothing. " +
					`The state is "unknown", "running", "done" or "error": running and done come with received, sent, request_size and response_size in bytes, error with the status.`,
				Example: `actions = when(request.path:eq "/progress", { progress.show "json" })`,
				Params: []runtime.Param{{Name: "format", Type: runtime.TString, Optional: true,
					Doc: `"json" (the default), "jsonp" (a call of progress, or of the function that X-Progress-Callback in the query names) or "legacy" (new Object(…))`}}},
		},
		Options: []runtime.Option{
			{Name: "progress.methods", Type: runtime.TStrings, Default: []string{http.MethodPost}, Parse: parseProgressMethods,
				Doc:     "The methods of the requests that progress.track tracks, POST by default.",
				Example: `setup.progress.methods { "PUT", "POST" }`},
			debugOption("progress.debug", "what is tracked and shown"),
		},
	}
}

// progressTable holds the tracked requests of a program. It is safe for concurrent use.
type progressTable struct {
	mu   sync.Mutex
	ttl  time.Duration
	byID map[string]*progressEntry
	over []*progressEntry // those of byID that have ended, the oldest first
}

// progressEntry is one tracked request. Its counters grow while the request runs; what is
// known only at its end is guarded by the table.
type progressEntry struct {
	id       string
	size     int64 // of the request body, -1 when it is not known
	received func() int64
	sent     atomic.Int64

	owner  *runtime.VRequest // nil when the request is over
	status int
	until  time.Time
}

const (
	defaultProgressTTL = 30 * time.Second
	// maxTracked bounds the memory that requests with different identifiers can take.
	maxTracked    = 10000
	maxProgressID = 128 // bytes, as in lighttpd2
)

type progressKey struct{}

func progressOf(b *runtime.Builder) *progressTable {
	return b.Shared(progressKey{}, func() any {
		return &progressTable{ttl: defaultProgressTTL, byID: map[string]*progressEntry{}}
	}).(*progressTable)
}

func setupProgressTTL(b *runtime.Builder, args runtime.Args) error {
	const most = 1e9 // seconds, which a time.Duration holds
	seconds := args.Float(0)
	if !(seconds >= 0 && seconds <= most) {
		return fmt.Errorf("ttl: expected a number of seconds, got %g", seconds)
	}
	t := progressOf(b)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ttl = time.Duration(seconds * float64(time.Second))
	return nil
}

func parseProgressMethods(_ *runtime.Builder, v runtime.Value) (any, error) {
	methods, _ := v.Strings()
	for _, m := range methods {
		if m == "" || strings.ToUpper(m) != m || strings.ContainsAny(m, " \t\r\n,") {
			return nil, fmt.Errorf("%q is no method; expected a name like POST or PUT", m)
		}
	}
	return methods, nil
}

func newProgressTrack(b *runtime.Builder, _ runtime.Args) (runtime.Action, error) {
	table, methods, debug := progressOf(b), b.Option("progress.methods"), b.Option("progress.debug")
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		if vr.IsHandled() || !slices.Contains(vr.Option(methods).([]string), vr.Request.Method) {
			return nil
		}
		id, ok := progressID(vr)
		tracked := ok && table.track(vr, id)
		if vr.Option(debug).(bool) {
			vr.Log().Info("progress.track", "id", id, "tracked", tracked)
		}
		return nil
	}), nil
}

// progressID returns the identifier in the query, and whether it is one.
func progressID(vr *runtime.VRequest) (string, bool) {
	id := queryParameter(vr.Request.URI.Query, "X-Progress-ID")
	return id, id != "" && len(id) <= maxProgressID
}

// queryParameter returns a parameter of a query as it came, "" when there is none. Case
// does not count in its name.
func queryParameter(query, name string) string {
	for part := range strings.SplitSeq(query, "&") {
		if key, value, _ := strings.Cut(part, "="); strings.EqualFold(key, name) {
			return value
		}
	}
	return ""
}

// track adds a request. A later one with the same identifier takes the place of an
// earlier one. It returns false when the request is tracked already or there are too many.
func (t *progressTable) track(vr *runtime.VRequest, id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forgetOld()
	before := t.byID[id]
	if before != nil && before.owner == vr || before == nil && len(t.byID) >= maxTracked {
		return false
	}
	id = strings.Clone(id) // it outlives the request, whose memory the front end may reuse
	e := &progressEntry{id: id, size: announcedLength(vr), received: vr.BodyReceived(), owner: vr}
	if before != nil {
		t.over = slices.DeleteFunc(t.over, func(o *progressEntry) bool { return o == before })
	}
	t.byID[id] = e
	vr.CountSent(&e.sent)
	vr.OnFinish(func() { t.end(e, vr.Response.Status) })
	return true
}

// announcedLength is what the head says of the length of the body: measuring would have to
// wait for a chunked one.
func announcedLength(vr *runtime.VRequest) int64 {
	var n int64
	text := vr.Request.Header.Get("Content-Length")
	if text == "" {
		if vr.Request.Header.Has("Transfer-Encoding") {
			return -1
		}
		return 0
	}
	if _, err := fmt.Sscan(text, &n); err != nil {
		return -1
	}
	return n
}

func (t *progressTable) end(e *progressEntry, status int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e.owner, e.status, e.until = nil, status, time.Now().Add(t.ttl)
	if t.byID[e.id] == e {
		t.over = append(t.over, e)
	}
	t.forgetOld()
}

// forgetOld removes what has been over for long enough.
func (t *progressTable) forgetOld() {
	now, n := time.Now(), 0
	for n < len(t.over) && now.After(t.over[n].until) {
		delete(t.byID, t.over[n].id)
		n++
	}
	t.over = slices.Delete(t.over, 0, n)
}

// state describes a request as a JSON object.
func (t *progressTable) state(id string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forgetOld()
	e := t.byID[id]
	if e == nil {
		return `{"state": "unknown"}`
	}
	name := "running"
	if e.owner == nil {
		if name = "done"; e.status < 200 || e.status > 299 {
			return fmt.Sprintf(`{"state": "error", "status": %d}`, e.status)
		}
	}
	sent := e.sent.Load()
	return fmt.Sprintf(`{"state": %q, "received": %d, "sent": %d, "request_size": %d, "response_size": %d}`, name, e.received(), sent, e.size, sent)
}

// progressFormats are the forms of an answer: what stands around the object, and its type.
var progressFormats = map[string]struct{ before, after, contentType string }{
	"json":   {"", "", "application/json"},
	"jsonp":  {"(", ")", "text/javascript"}, // behind the name of the function
	"legacy": {"new Object(", ")", "text/javascript"},
}

func newProgressShow(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	name := "json"
	if args.Has(0) {
		name = args.Str(0)
	}
	format, ok := progressFormats[name]
	if !ok {
		return nil, errors.New("unknown format \"" + name + "\"; expected json, jsonp or legacy")
	}
	table, debug := progressOf(b), b.Option("progress.debug")
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		id, ok := progressID(vr)
		if !ok || !vr.HandleDirect() {
			return nil
		}
		state := table.state(id)
		if vr.Option(debug).(bool) {
			vr.Log().Info("progress.show", "id", id, "state", state)
		}
		before := format.before
		if name == "jsonp" {
			before = progressCallback(vr.Request.URI.Query) + before
		}
		vr.Response.Status = http.StatusOK
		vr.Response.Header.Set("Content-Type", format.contentType)
		vr.Response.Header.Set("Cache-Control", "no-store")
		vr.Response.Header.Set("X-Content-Type-Options", "nosniff")
		vr.Out.Add([]byte(before + state + format.after))
		return nil
	}), nil
}

// progressCallback returns the function that the query wants to be called. Only names and
// dots may stand there: the answer is a script.
func progressCallback(query string) string {
	const fallback = "progress"
	name := queryParameter(query, "X-Progress-Callback")
	if name == "" || len(name) > maxProgressID {
		return fallback
	}
	for part := range strings.SplitSeq(name, ".") {
		if !isIdentifier(part) {
			return fallback
		}
	}
	return name
}

func isIdentifier(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
