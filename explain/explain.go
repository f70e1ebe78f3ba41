package explain

import (
	"bytes"
	"context"
	"net/http"
	"unicode/utf8"

	"luaserve/runtime"
)

// Options say what an explained request may do.
type Options struct {
	// Backends has FastCGI, SCGI, CGI and HTTP backends really asked. Otherwise they are
	// shown as reached, and an empty answer with the status 200 stands for theirs.
	Backends bool
	// MaxBody is how much of the body of the answer is kept, in bytes; 0 means 64 KiB.
	MaxBody int
}

// Result is what became of a request.
type Result struct {
	Method  string          `json:"method"`
	URL     string          `json:"url"`
	Steps   []*runtime.Step `json:"steps"`
	Decided *Decision       `json:"decided"` // nil when no rule has answered
	Status  int             `json:"status"`
	Header  []runtime.Field `json:"header"`
	// Body is the beginning of the body, and Length its length in bytes. Binary says that it
	// is no text; it is left out then.
	Body   string `json:"body"`
	Bytes  []byte `json:"-"` // the same as it came
	Length int64  `json:"length"`
	Binary bool   `json:"binary,omitempty"`
	Cut    string `json:"cut,omitempty"` // why the body broke off
}

// Decision is the action that answered a request, or that failed.
type Decision struct {
	Name    string `json:"name"`
	Args    string `json:"args,omitempty"`
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Failed  string `json:"failed,omitempty"`  // the error
	Reached bool   `json:"reached,omitempty"` // a backend that was not asked
}

// Run runs one request through the program and reads its answer to the end. An error means
// that there was no request to run: its URL makes none. Run is safe for concurrent use.
func Run(ctx context.Context, p *runtime.Program, req Request, o Options) (*Result, error) {
	ex, err := newExchange(ctx, req)
	if err != nil {
		return nil, err
	}
	scheme := "http://"
	if ex.https {
		scheme = "https://"
	}
	reply, trace := p.Trace(ex, runtime.TraceOptions{Backends: o.Backends})
	defer reply.Close()
	r := Of(trace)
	r.Method, r.URL, r.Status = ex.Request.Method, scheme+ex.host+ex.target, reply.Status
	for name, value := range reply.Header.All() {
		r.Header = append(r.Header, runtime.Field{Name: name, Value: value})
	}
	body := &beginning{limit: o.MaxBody}
	if body.limit == 0 {
		body.limit = 64 << 10
	}
	if r.Method != http.MethodHead {
		if err := reply.WriteBody(body, nil); err != nil {
			r.Cut = err.Error()
		}
	}
	r.Length = body.length
	r.Bytes = body.kept
	if text, ok := body.text(); ok {
		r.Body = text
	} else {
		r.Binary = true
	}
	return r, nil
}

// Of returns the result of a trace, without the answer.
func Of(trace *runtime.Trace) *Result {
	return &Result{Steps: trace.Steps, Decided: decision(trace.Steps)}
}

// beginning keeps the beginning of what is written to it.
type beginning struct {
	kept   []byte
	limit  int
	length int64
}

// Write implements [io.Writer].
func (b *beginning) Write(p []byte) (int, error) {
	b.length += int64(len(p))
	b.kept = append(b.kept, p[:min(len(p), b.limit-len(b.kept))]...)
	return len(p), nil
}

// text returns what was kept, without the first bytes of a character that did not fit, and
// whether it is text.
func (b *beginning) text() (string, bool) {
	kept := b.kept
	if int64(len(kept)) < b.length {
		for cut := 1; cut < utf8.UTFMax && cut <= len(kept); cut++ {
			if tail := kept[len(kept)-cut:]; utf8.RuneStart(tail[0]) {
				if !utf8.FullRune(tail) {
					kept = kept[:len(kept)-cut]
				}
				break
			}
		}
	}
	return string(kept), utf8.Valid(kept) && bytes.IndexByte(kept, 0) < 0
}

// decision finds the step that failed, or else the one that answered last: an action may take
// the answer of another one back.
func decision(steps []*runtime.Step) *Decision {
	var claimed, failed *Decision
	EachStep(steps, func(s *runtime.Step) {
		d := &Decision{Name: s.Name, Args: s.Args, File: s.File, Line: s.Line, Failed: s.Error, Reached: s.Reached}
		if s.Error != "" {
			failed = d
		} else if s.Claimed {
			claimed = d
		}
	})
	if failed != nil {
		return failed
	}
	return claimed
}

// EachStep calls f for every step, outer ones before inner ones.
func EachStep(steps []*runtime.Step, f func(*runtime.Step)) {
	for _, s := range steps {
		f(s)
		EachStep(s.Steps, f)
	}
}
