package replay

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"luaserve/explain"
	"luaserve/runtime"
)

// Result is how two scripts decide the requests of a log.
type Result struct {
	Requests  int // in the log
	Different int // of them, that are decided differently
	Changes   []Change
}

// Change is a request that is decided differently.
type Change struct {
	Request  explain.Request
	Times    int // in the log
	Line     int // of the first
	Old, New Outcome
}

// Outcome is what a script makes of a request.
type Outcome struct {
	Status  int
	Rule    string   // "fastcgi unix:/run/app.sock"; "" when no rule has answered
	Place   string   // site.lua:12
	Path    string   // physical.path
	URL     string   // request.raw_path at the end
	Headers []string // of the answer, without those that differ each time
	Failed  string
}

// Differ goes through a log. It is not safe for concurrent use.
type Differ struct {
	old, new *runtime.Program
	known    map[string]int // the index of a change, -1 for a request that is decided alike
	result   Result
}

// NewDiffer compares two programs; both must keep arguments ([runtime.Config.Inspect]), so
// that two backends can be told apart. Backends are not asked.
func NewDiffer(old, new *runtime.Program) *Differ {
	return &Differ{old: old, new: new, known: map[string]int{}}
}

// Add runs a request through both programs. An error means that it is none.
func (d *Differ) Add(ctx context.Context, e Entry) error {
	key := fmt.Sprint(e.Request.Method, " ", e.Request.URL, e.Request.Header, e.Request.Remote)
	i, seen := d.known[key]
	if !seen {
		before, err := outcome(ctx, d.old, e.Request)
		if err != nil {
			return err
		}
		after, err := outcome(ctx, d.new, e.Request)
		if err != nil {
			return err
		}
		i = -1
		if !before.same(after) {
			i = len(d.result.Changes)
			d.result.Changes = append(d.result.Changes, Change{Request: e.Request, Line: e.Line, Old: before, New: after})
		}
		d.known[key] = i
	}
	d.result.Requests++
	if i >= 0 {
		d.result.Different++
		d.result.Changes[i].Times++
	}
	return nil
}

// Result returns what was found, the most frequent first.
func (d *Differ) Result() Result {
	r := d.result
	r.Changes = slices.Clone(r.Changes)
	slices.SortStableFunc(r.Changes, func(a, b Change) int { return cmp.Compare(b.Times, a.Times) })
	return r
}

// same compares everything but the place of the rule.
func (o Outcome) same(other Outcome) bool {
	return slices.Equal(o.Headers, other.Headers) && o.Status == other.Status && o.Rule == other.Rule &&
		o.Path == other.Path && o.URL == other.URL && (o.Failed == "") == (other.Failed == "")
}

// volatile are the fields that differ each time.
var volatile = []string{"date", "expires", "etag", "last-modified", "server"}

func outcome(ctx context.Context, p *runtime.Program, req explain.Request) (Outcome, error) {
	r, err := explain.Run(ctx, p, req, explain.Options{MaxBody: 1})
	if err != nil {
		return Outcome{}, err
	}
	o := Outcome{Status: r.Status}
	for _, f := range r.Header {
		if !slices.Contains(volatile, strings.ToLower(f.Name)) {
			o.Headers = append(o.Headers, f.Name+": "+f.Value)
		}
	}
	explain.EachStep(r.Steps, func(s *runtime.Step) {
		for _, c := range s.Changes {
			if c.After == nil {
				continue
			}
			switch c.What {
			case "physical.path":
				o.Path = *c.After
			case "request.raw_path":
				o.URL = *c.After
			}
		}
	})
	if d := r.Decided; d != nil {
		o.Rule, o.Place, o.Failed = d.Name, runtime.Pos{File: d.File, Line: d.Line}.String(), d.Failed
		if d.Args != "" {
			o.Rule += " " + d.Args
		}
	}
	return o, nil
}

// Text writes the result for people.
func (r *Result) Text(w io.Writer) error {
	var out strings.Builder
	for _, c := range r.Changes {
		fmt.Fprintf(&out, "%s %s (%s, line %d)\n", c.Request.Method, c.Request.URL, times(c.Times), c.Line)
		for _, side := range []struct {
			name      string
			is, other Outcome
		}{{"old", c.Old, c.New}, {"new", c.New, c.Old}} {
			fmt.Fprintf(&out, "  %s: %s\n", side.name, side.is.against(side.other))
		}
	}
	fmt.Fprintf(&out, "%d of %d requests are decided differently\n", r.Different, r.Requests)
	_, err := io.WriteString(w, out.String())
	return err
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// against describes an outcome by what it has not in common with another one.
func (o Outcome) against(other Outcome) string {
	text := fmt.Sprint(o.Status)
	switch {
	case o.Rule == "":
		text += ", no rule has answered"
	case o.Failed != "":
		text += fmt.Sprintf(", error at %s: %s: %s", o.Place, o.Rule, o.Failed)
	default:
		text += fmt.Sprintf(" by %s: %s", o.Place, o.Rule)
	}
	if o.URL != other.URL && o.URL != "" {
		text += ", request.raw_path " + o.URL
	}
	if o.Path != other.Path && o.Path != "" {
		text += ", physical.path " + o.Path
	}
	for _, h := range o.Headers {
		if !slices.Contains(other.Headers, h) {
			text += ", " + h
		}
	}
	return text
}
