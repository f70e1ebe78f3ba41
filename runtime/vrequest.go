package runtime

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
)

// VRequest is one request on its way through the pipeline: lighttpd2's virtual request.
// It belongs to the goroutine that serves the request and is reused after the Reply was
// closed, so nothing may keep it.
type VRequest struct {
	Request  Request
	Physical Physical
	Response Response
	Env      Environment
	Con      Connection
	In       *ChunkQueue // the request body, behind the in-filters
	Out      *ChunkQueue // the response body, before the out-filters

	prog         *Program
	exchange     Exchange
	ctx          context.Context
	late         *lateContext // what LateContext returned, or the memory for it; nil until it was asked for
	handled      handledState
	closeAfter   bool // the connection is not used again
	upgrade      upgrade
	cut          bool // sending the answer failed
	started      time.Time
	observers    []Observer    // those that heard of the request
	pacers       []pacer       // what slows the response down
	sent         *atomic.Int64 // counts the body while it is sent; nil unless somebody asked
	captures     []match
	options      []any // nil while all have their defaults
	optionSpace  []any // the memory of options, kept between requests
	filtersOut   []*Filter
	filtered     *ChunkQueue // the body behind the out-filters; nil without any
	finishers    []func()
	entered      []Action // pushed by enter_action, run last in first out
	enters       int      // how many were run, and how often a function was woken
	woken        bool     // see Wake
	pins         []*pin
	firstPin     *pin    // usually the only one; its memory stays
	pinSpace     [1]*pin // the first memory of pins
	handlerDepth int     // lua.handler files within each other
	running      *call   // the Lua call that this request is in
	mayPause     bool    // the action that runs may pause the request
	mayPauseIn   *Node   // so may this one when it is run next
	pause        pause
	frames       []frame      // what those have to do still who ran the action that pauses; the innermost first
	body         *requestBody // nil when there is none
	parent       *VRequest    // of a subrequest
	trace        *Trace       // nil unless somebody wants to know what happens
	reply        Reply
	noBody       ChunkQueue
	rawIn        *ChunkQueue // the body before the in-filters
	replay       replay
	rawOut       ChunkQueue
	outSpace     [2]chunk // the first memory of rawOut
	logged       logVolume
	insertHeader func(name, value string) // Request.Header.Insert, made once
}

// Request is the head of the request.
type Request struct {
	Method  string
	Version string // "HTTP/1.1"
	URI     URI
	Header  Header
}

// Response is the head of the response.
type Response struct {
	Status int // 0 until it is set
	Header Header
}

// handledState says who claimed the request.
type handledState uint8

const (
	unhandled handledState = iota
	handledDirect
	handledBackend
	handledUpgrade // to another protocol
)

// Context ends when the client goes away. Watching for that may cost the front end
// something, so only actions that wait should ask.
func (vr *VRequest) Context() context.Context {
	if vr.ctx == nil {
		vr.ctx = vr.exchange.Context()
	}
	return vr.ctx
}

// Log returns the logger for messages about the request.
func (vr *VRequest) Log() *slog.Logger {
	log, _ := vr.Option(vr.prog.logOption).(*slog.Logger)
	if log == nil {
		log = vr.prog.log
	}
	if vr.trace != nil {
		log = vr.trace.log(log)
	}
	return log
}

// Program returns the program that runs the request.
func (vr *VRequest) Program() *Program { return vr.prog }

// Now is what the program's clock says; see [Config.Now].
func (vr *VRequest) Now() time.Time { return vr.prog.now() }

// IsHandled reports whether an action has claimed the request.
func (vr *VRequest) IsHandled() bool { return vr.handled != unhandled }

// HasResponse reports whether the response head is there.
func (vr *VRequest) HasResponse() bool { return vr.handled != unhandled }

// HandleDirect claims the request for an answer that the caller writes itself. It returns
// false when the request was claimed before. The first claim wins.
func (vr *VRequest) HandleDirect() bool {
	if vr.handled != unhandled {
		return false
	}
	vr.handled = handledDirect
	vr.Out.closed = true
	return true
}

// HandleBackend claims the request for a backend whose response head is there.
// body is streamed to the client; an error of it cuts the response.
func (vr *VRequest) HandleBackend(status int, body io.ReadCloser) {
	vr.handled = handledBackend
	vr.Response.Status = status
	if body != nil {
		vr.Out.AddStream(body)
	}
}

// Option returns the value of an option for this request. ref comes from [Builder.Option].
func (vr *VRequest) Option(ref OptionRef) any {
	if vr.options != nil {
		return vr.options[ref]
	}
	return vr.prog.defaults[ref]
}

func (vr *VRequest) setOption(index int, value any) {
	if vr.options == nil {
		vr.optionSpace = append(vr.optionSpace[:0], vr.prog.defaults...)
		vr.options = vr.optionSpace
	}
	vr.options[index] = value
}

// AddFilterOut puts a filter behind those that are there already: the one added first sees
// the body first.
func (vr *VRequest) AddFilterOut(f *Filter) { vr.filtersOut = append(vr.filtersOut, f) }

// AddFilterIn lets the request body run through f.
func (vr *VRequest) AddFilterIn(f *Filter) { vr.In = f.connect(vr.In) }

// BodyFiltered reports whether a filter may change the length of the request body.
func (vr *VRequest) BodyFiltered() bool { return vr.In != vr.rawIn }

// BodyChanged reports whether the body is not what the client announced any more: a
// script has read from it, replaced it, or put a filter before it. [ChunkQueue.Measure]
// tells its length then.
func (vr *VRequest) BodyChanged() bool {
	if vr.BodyFiltered() {
		return true
	}
	chunks := vr.rawIn.chunks
	if vr.body == nil {
		return len(chunks) > 0
	}
	return vr.body.taken > 0 || len(chunks) != 1 || chunks[0].stream != io.ReadCloser(vr.body)
}

// OnFinish has f called when the request is over.
func (vr *VRequest) OnFinish(f func()) { vr.finishers = append(vr.finishers, f) }

// Fail makes an error that is answered with status.
func Fail(status int, format string, args ...any) error {
	return &StatusError{Status: status, Err: fmt.Errorf(format, args...)}
}

func (vr *VRequest) appendCaptures(buf []byte, from, to int) []byte {
	if len(vr.captures) == 0 {
		return buf
	}
	return vr.captures[len(vr.captures)-1].AppendCaptures(buf, from, to)
}

// start fills a fresh VRequest from the exchange.
func (vr *VRequest) start(p *Program, ex Exchange) error {
	vr.prog, vr.exchange = p, ex
	vr.startHead(ex)
	vr.setBody(ex)
	vr.startOut()
	if err := vr.Request.URI.ParseTarget(ex.Target(), ex.Host(), vr.scheme()); err != nil {
		return &StatusError{Status: 400, Err: err}
	}
	if uri := &vr.Request.URI; uri.Raw != uri.RawPath {
		// the host of an absolute target counts, whatever the field says (RFC 9112, 3.2.2)
		vr.Request.Header.Overwrite("Host", uri.Authority[strings.LastIndexByte(uri.Authority, '@')+1:])
	}
	if err := checkRequest(vr, ex); err != nil {
		return err
	}
	return nil
}

// startHead takes over what the exchange says of the request and its connection.
func (vr *VRequest) startHead(ex Exchange) {
	vr.Physical.stats, vr.Physical.overlay = vr.prog.stats, vr.prog.overlay
	if vr.prog.overlay == "" {
		vr.Physical.kept = &vr.prog.kept
		vr.Physical.batcher, _ = ex.(Batcher)
	}
	vr.Request.Method, vr.Request.Version = ex.Method(), ex.Proto()
	vr.Con = ex.Connection()
	vr.Con.useProxied()
	if vr.insertHeader == nil {
		vr.insertHeader = vr.Request.Header.Insert
	}
	ex.EachHeader(vr.insertHeader)
	vr.Request.Header.dropNamedByConnection()
}

func (vr *VRequest) startOut() {
	vr.rawOut.chunks = vr.outSpace[:0]
	vr.Out = &vr.rawOut
}

func (vr *VRequest) scheme() string {
	if vr.Con.TLS != nil {
		return "https"
	}
	return "http"
}

// checkRequest refuses requests that no pipeline should see.
func checkRequest(vr *VRequest, ex Exchange) error {
	if vr.Request.Version != "HTTP/1.0" && vr.Request.URI.Host == "" {
		return Fail(400, "a %s request needs a Host", vr.Request.Version)
	}
	switch vr.Request.Method {
	case "GET", "HEAD":
		if ex.ContentLength() > 0 {
			return Fail(400, "a %s request with a body", vr.Request.Method)
		}
	case "POST":
		if vr.prog.strictPost && ex.ContentLength() == 0 && !vr.Request.Header.Has("Content-Length") && !vr.Request.Header.Has("Transfer-Encoding") {
			return Fail(411, "a POST request needs a Content-Length")
		}
	}
	return nil
}

// release ends the request: filters and backends hear of it, then the memory is reused.
func (vr *VRequest) release() {
	vr.tellEnd()
	for i := len(vr.finishers) - 1; i >= 0; i-- {
		vr.finishers[i]()
	}
	vr.tellLeftOut()
	for _, f := range vr.filtersOut {
		f.In.Reset()
		f.Out.Reset()
	}
	vr.rawOut.Reset()
	if vr.body != nil {
		vr.body.close()
	}
	for _, p := range vr.pins {
		p.release()
	}
	if vr.parent != nil {
		return // its maps and queues may be read by the Lua object until the parent ends
	}
	pool := &vr.prog.requests
	head, resp, env := vr.Request.Header.fields, vr.Response.Header.fields, vr.Env.header.fields
	clear(head)
	clear(resp)
	clear(env)
	captures, options, frames, insert, kept := vr.captures[:0], vr.optionSpace, vr.frames[:0], vr.insertHeader, vr.firstPin
	late := vr.late
	if late != nil && late.ctx != nil {
		late = nil // others may still use it
	}
	*vr = VRequest{} // a literal with what stays in it would be made elsewhere and copied
	vr.captures, vr.optionSpace, vr.frames, vr.insertHeader, vr.firstPin, vr.late = captures, options, frames, insert, kept, late
	vr.Request.Header.fields, vr.Response.Header.fields, vr.Env.header.fields = head[:0], resp[:0], env[:0]
	pool.Put(vr)
}

// has reports whether a pointer is to vr or to a part of it that is not made anew for each request.
func (vr *VRequest) has(p any) bool {
	switch p := p.(type) {
	case *VRequest:
		return p == vr
	case *URI:
		return p == &vr.Request.URI
	case *Header:
		return p == &vr.Request.Header || p == &vr.Response.Header
	case *Response:
		return p == &vr.Response
	case *Physical:
		return p == &vr.Physical
	case *Connection:
		return p == &vr.Con
	case *Environment:
		return p == &vr.Env
	case *ChunkQueue:
		return p == &vr.rawOut || p == &vr.noBody
	}
	return false
}

// CountSent has the bytes of the response body counted in n as the front end takes them.
// Files are copied by the program instead of by the kernel then.
func (vr *VRequest) CountSent(n *atomic.Int64) { vr.sent = n }

// Environment is the CGI environment that actions add to: an ordered map of strings.
// Names are case-sensitive. The zero value is empty.
type Environment struct {
	header Header
}

func (e *Environment) index(name string) int {
	for i := range e.header.fields {
		if e.header.fields[i].Name == name {
			return i
		}
	}
	return -1
}

// Get returns an entry, "" when there is none.
func (e *Environment) Get(name string) string {
	v, _ := e.Lookup(name)
	return v
}

// Lookup returns an entry and whether there is one.
func (e *Environment) Lookup(name string) (string, bool) {
	if i := e.index(name); i >= 0 {
		return e.header.fields[i].Value, true
	}
	return "", false
}

// Set sets an entry.
func (e *Environment) Set(name, value string) {
	if i := e.index(name); i >= 0 {
		e.header.fields[i].Value = value
		return
	}
	e.header.Insert(name, value)
}

// Unset removes an entry.
func (e *Environment) Unset(name string) {
	if i := e.index(name); i >= 0 {
		e.header.fields = append(e.header.fields[:i], e.header.fields[i+1:]...)
	}
}

// Clear removes all entries.
func (e *Environment) Clear() { e.header.Reset() }

// Entries returns the entries in the order in which they were set; the caller must not
// change the slice.
func (e *Environment) Entries() []Field { return e.header.fields }
