package runtime

import (
	"context"
	"errors"
	"fmt"
	"html"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
)

// Handle runs the pipeline for one exchange and returns the answer, never nil. The front
// end sends it and closes it. Handle is safe for concurrent use.
func (p *Program) Handle(ex Exchange) *Reply { return p.handle(ex, nil) }

func (p *Program) handle(ex Exchange, trace *Trace) *Reply {
	if trace == nil || trace.options.Backends {
		p.Start()
	}
	vr := p.requests.Get().(*VRequest)
	err := vr.start(p, ex)
	if trace != nil {
		trace.start(vr)
		vr.trace = trace
	}
	p.observers.begin(vr)
	if outdated := p.outdated.Load(); outdated != nil && err == nil {
		err = *outdated
	}
	if err == nil {
		if pauser, ok := ex.(Pauser); ok && trace == nil && pauser.CanPause() {
			vr.mayPauseIn = p.root
		}
		err = vr.runSafely(p.root)
	}
	if trace != nil {
		trace.finish()
	}
	if isPaused(err) {
		vr.reply = Reply{vr: vr}
		return &vr.reply
	}
	if err != nil {
		vr.fail(err)
	}
	return vr.makeReply()
}

// Refuse answers an exchange that a front end does not accept, because its head is
// malformed or beyond a limit, with the page of status. No action runs, but the observers
// hear of it: it is in the access log, with what could be read of it. The front end has
// logged why, and does not keep the connection.
func (p *Program) Refuse(ex Exchange, status int) *Reply {
	p.Start()
	vr := p.requests.Get().(*VRequest)
	vr.prog, vr.exchange = p, ex
	vr.startHead(ex)
	vr.startOut()
	vr.noBody = ChunkQueue{closed: true}
	vr.rawIn = &vr.noBody
	vr.In = vr.rawIn
	_ = vr.Request.URI.ParseTarget(ex.Target(), ex.Host(), vr.scheme()) // what can be said of it
	p.observers.begin(vr)
	vr.answerError(status)
	vr.closeAfter = true
	return vr.makeReply()
}

// runSafely runs the pipeline and completes the response. A panic becomes an error: one
// broken request must not end the server, nor be answered as if nothing happened.
func (vr *VRequest) runSafely(a Action) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = panicError(r)
		}
	}()
	if err := a.Run(vr); err != nil {
		return err
	}
	return vr.finish()
}

// finish makes a complete response of what the pipeline left.
func (vr *VRequest) finish() error {
	switch vr.handled {
	case unhandled:
		vr.Out.Reset()
		if vr.Request.Method == http.MethodOptions {
			vr.Response.Status = http.StatusOK
			vr.Response.Header.Set("Allow", "OPTIONS, GET, HEAD, POST")
		} else {
			vr.Response.Status = http.StatusNotFound
		}
		vr.Out.closed = true
	case handledDirect:
		if s := vr.Response.Status; s < 200 || s > 999 {
			return Fail(500, "the request was handled without a valid status (%d)", s)
		}
	case handledBackend: // 1xx would be taken for an interim answer, and the next one for this
		if s := vr.Response.Status; s < 200 || s > 999 {
			return Fail(502, "the backend answered with the status %d", s)
		}
	case handledUpgrade:
		if vr.Response.Status == http.StatusSwitchingProtocols {
			return nil
		}
		vr.handled, vr.Out.closed = handledDirect, true
		return vr.finish()
	}
	return vr.runFilters()
}

// runFilters connects the out-filters. A body that is complete already runs through a
// single filter at once, so that its length is known.
func (vr *VRequest) runFilters() error {
	if len(vr.filtersOut) == 0 {
		return nil
	}
	vr.Response.Header.Remove("Content-Length")
	complete := vr.Out.Len() >= 0 && vr.handled != handledBackend
	vr.filtered = vr.Out
	for _, f := range vr.filtersOut {
		vr.filtered = f.connect(vr.filtered)
	}
	if !complete || len(vr.filtersOut) > 1 {
		return nil
	}
	f := vr.filtersOut[0]
	for !f.Out.closed && !(f.In.closed && len(f.In.chunks) == 0 && len(f.Out.chunks) > 0) {
		if err := f.pull(); err != nil {
			return err
		}
	}
	f.Out.closed = true
	return nil
}

// HasFilterOut reports whether the response body is to run through a filter.
func (vr *VRequest) HasFilterOut() bool { return len(vr.filtersOut) > 0 }

// DropBody drops the response body as far as it is there, and the filters it was to run
// through: what is put into Out next is what they would have made of it. A backend that
// still sends is told to stop. Filters that are added later count again.
func (vr *VRequest) DropBody() {
	for _, f := range vr.filtersOut {
		f.In.Reset()
		f.Out.Reset()
	}
	vr.filtersOut = nil
	vr.Out.Reset()
	vr.Out.closed = true
	vr.handled = handledDirect
}

// Reopen takes the answer back: its body is dropped, as by [VRequest.DropBody], and another
// action may claim the request. The header stays.
func (vr *VRequest) Reopen() {
	vr.DropBody()
	vr.Out.closed = false
	vr.handled, vr.Response.Status = unhandled, 0
}

// fail replaces the response by an error page and logs why.
func (vr *VRequest) fail(err error) {
	status := http.StatusInternalServerError
	var se *StatusError
	if errors.As(err, &se) {
		status = se.Status
	}
	vr.logFailure(status, err)
	vr.answerError(status)
	if vr.prog.errorPage != nil && vr.parent == nil {
		vr.explainError(status, err)
	}
	if se != nil && se.RetryAfter > 0 {
		vr.Response.Header.Set("Retry-After", strconv.FormatInt(int64(math.Ceil(se.RetryAfter.Seconds())), 10))
	}
}

// explainError lets the program's own page tell what has failed.
func (vr *VRequest) explainError(status int, err error) {
	contentType, body := vr.prog.errorPage(vr, status, err)
	if body == "" {
		return
	}
	vr.rawOut.AddString(body)
	vr.Response.Header.Set("Content-Type", contentType)
	vr.Response.Header.Set("Cache-Control", "no-store")
}

// answerError drops what there is of a response and makes it the built-in page of a status.
func (vr *VRequest) answerError(status int) {
	for _, f := range vr.filtersOut {
		f.In.Reset()
		f.Out.Reset()
	}
	vr.rawOut.Reset()
	vr.rawOut = ChunkQueue{closed: true}
	vr.filtered = nil
	vr.Response.Header.Reset()
	vr.Response.Status = status
	vr.handled = unhandled
	switch status {
	case http.StatusInternalServerError, http.StatusBadRequest, http.StatusLengthRequired, http.StatusRequestEntityTooLarge, http.StatusRequestTimeout:
		vr.closeAfter = true // what is left of the request, or of the state it met, is not to be trusted
	}
}

func (vr *VRequest) logFailure(status int, err error) {
	level := slog.LevelError
	if status < 500 {
		level = slog.LevelInfo
	}
	vr.logError(level, "request failed", status, err)
}

// cutOff notes that the answer could not be sent to its end. The status is out already, so
// only the log can say why.
func (vr *VRequest) cutOff(err error) {
	vr.cut = true
	level := slog.LevelDebug
	clientLeft := vr.ctx != nil && vr.ctx.Err() != nil
	if _, ok := errors.AsType[bodyError](err); ok && !clientLeft {
		level = slog.LevelError
	}
	vr.logError(level, "response cut", vr.Response.Status, err)
}

func (vr *VRequest) logError(level slog.Level, msg string, status int, err error) {
	attrs := []any{"status", status, "method", vr.Request.Method, "host", vr.Request.URI.Host, "path", vr.Request.URI.Path, "error", err.Error()}
	var le *LuaError
	if errors.As(err, &le) && le.Traceback != "" {
		attrs = append(attrs, "traceback", le.Traceback)
	}
	vr.Log().Log(context.Background(), level, msg, attrs...)
}

// makeReply decides on the body and the framing fields.
func (vr *VRequest) makeReply() *Reply {
	h := &vr.Response.Header
	vr.addServer(h)
	dropFraming(h)
	if vr.closeAfter {
		h.Insert("Connection", "close")
	}
	status := vr.Response.Status
	body := vr.filtered
	if body == nil {
		body = vr.Out
	}
	length := int64(-1)
	if body.refill == nil || body.closed {
		length = body.Len()
	}
	switch {
	case !bodyAllowed(status):
		body.Reset()
		body.refill = nil
		h.Remove("Content-Length")
		length = -1
	case status >= 400 && length == 0 && vr.handled != handledBackend:
		page := ErrorPage(status)
		body.AddString(page)
		length = int64(len(page))
		h.Set("Content-Type", "text/html; charset=utf-8")
	}
	if length >= 0 {
		h.Remove("Content-Length")
	} else if cl, ok := h.Lookup("Content-Length"); ok {
		// a backend's own length: the stream behind it is checked against it
		if n, err := strconv.ParseInt(cl, 10, 64); err == nil && n >= 0 {
			length = n
		}
		h.Remove("Content-Length")
	}
	vr.reply = Reply{Status: status, Header: h, Length: length, vr: vr, body: body, trailer: takeTrailer(body, length, h)}
	return &vr.reply
}

func (vr *VRequest) addServer(h *Header) {
	if tag, _ := vr.Option(vr.prog.serverTag).(string); tag != "" && !h.Has("Server") {
		h.Insert("Server", tag)
	}
}

// dropFraming removes the fields that the front end decides on (RFC 9110, 7.6.1).
func dropFraming(h *Header) {
	for i := 0; i < len(h.fields); {
		if name := h.fields[i].Name; isFraming(name) {
			h.Remove(name)
		} else {
			i++
		}
	}
}

func isFraming(name string) bool {
	switch len(name) {
	case len("Upgrade"):
		return strings.EqualFold(name, "Upgrade")
	case len("Connection"):
		return strings.EqualFold(name, "Connection") || strings.EqualFold(name, "Keep-Alive")
	case len("Transfer-Encoding"):
		return strings.EqualFold(name, "Transfer-Encoding")
	}
	return false
}

// ErrorPage is the built-in page of a status that has no body of its own.
func ErrorPage(status int) string {
	text := StatusText(status)
	var b strings.Builder
	fmt.Fprintf(&b, `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>%d - %s</title>
<style>body{font:1.1em system-ui,sans-serif;margin:15vh auto;max-width:32em;padding:0 1em;color:#333}
h1{font-weight:600}p{color:#666}@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}p{color:#999}}</style></head>
<body><h1>%d - %s</h1><p>%s</p></body>
</html>
`, status, html.EscapeString(text), status, html.EscapeString(text), errorHint(status))
	return b.String()
}

func errorHint(status int) string {
	switch {
	case status == http.StatusNotFound:
		return "There is nothing at this address."
	case status == http.StatusForbidden, status == http.StatusUnauthorized:
		return "You may not see this."
	case status >= 500:
		return "The server could not answer this request. Its log says why."
	}
	return "The server did not accept this request."
}

// StatusText returns the reason phrase of a status, "Unknown" when it has none.
func StatusText(status int) string {
	if t := http.StatusText(status); t != "" {
		return t
	}
	return "Unknown"
}
