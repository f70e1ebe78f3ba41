package playground

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"luaserve/explain"
	"luaserve/runtime"
)

func (p *Playground) complete(*http.Request) (any, error) {
	return map[string]any{"names": p.config.Reference.Completions()}, nil
}

// problem is something to mark in the editor.
type problem struct {
	File     string `json:"file"`
	Line     int    `json:"line"` // 0 when it is not in the script
	From     int    `json:"from"` // what to mark on the line, in UTF-16 units; all of it where From and To are 0
	To       int    `json:"to"`
	Severity string `json:"severity"` // "error", "warning" or "info"
	Message  string `json:"message"`
}

// checkAnswer is what a script is.
type checkAnswer struct {
	Problems []problem `json:"problems"`
	Tree     *place    `json:"tree"` // nil when it cannot be loaded
	Log      []LogLine `json:"log,omitempty"`
}

type checkRequest struct {
	Script string `json:"script"`
}

func (p *Playground) check(r *http.Request) (any, error) {
	asked, err := readJSON[checkRequest](r)
	if err != nil {
		return nil, err
	}
	var answer checkAnswer
	err = p.loader.use(r.Context(), asked.Script, func(program *runtime.Program, log *capturedLog, err error) {
		answer = examine(program, asked.Script, err)
		answer.Log = log.take()
	})
	return answer, err
}

// examine tells what is wrong with a script, and draws it.
func examine(program *runtime.Program, script string, err error) checkAnswer {
	a := checkAnswer{Problems: []problem{}}
	if err != nil {
		a.Problems = append(a.Problems, loadProblem(script, err))
		return a
	}
	for _, w := range program.Warnings() {
		a.Problems = append(a.Problems, problem{File: w.Pos.File, Line: w.Pos.Line, Severity: "warning", Message: w.Msg})
	}
	a.Tree = draw(program)
	return a
}

// nearToken is how a syntax error names the token that it met.
var nearToken = regexp.MustCompile(` near ("(?:[^"\\]|\\.)*")$`)

// loadProblem is the error of a script that could not be loaded.
func loadProblem(script string, err error) problem {
	out := problem{Severity: "error", Message: err.Error()}
	le, ok := errors.AsType[*runtime.LoadError](err)
	if !ok {
		return out
	}
	out.File, out.Line, out.Message = le.Pos.File, le.Pos.Line, le.Msg
	word := ""
	if unknown, ok := errors.AsType[*runtime.UnknownNameError](err); ok {
		word = unknown.Name
	} else if m := nearToken.FindStringSubmatch(le.Msg); m != nil {
		word, _ = strconv.Unquote(m[1])
	}
	out.From, out.To = findWord(line(script, out.Line), word)
	return out
}

// line returns a line of a text, counted from 1.
func line(text string, n int) string {
	for l := range strings.Lines(text) {
		if n--; n == 0 {
			return strings.TrimRight(l, "\r\n")
		}
	}
	return ""
}

// findWord returns where a word stands on a line, not as a part of a longer one.
func findWord(line, word string) (from, to int) {
	if word == "" {
		return 0, 0
	}
	at := strings.Index(line, word)
	if isName(word) {
		if m := regexp.MustCompile(`(?:^|\W)(` + regexp.QuoteMeta(word) + `)(?:\W|$)`).FindStringSubmatchIndex(line); m != nil {
			at = m[2]
		}
	}
	if at < 0 {
		return 0, 0
	}
	from = units(line[:at])
	return from, from + units(word)
}

var name = regexp.MustCompile(`^[A-Za-z_][\w.]*$`)

func isName(s string) bool { return name.MatchString(s) }

// units is the length of a text as JavaScript counts it.
func units(s string) int { return len(utf16.Encode([]rune(s))) }

// runRequest is a request to try, as the form has it.
type runRequest struct {
	Script  string `json:"script"`
	Request struct {
		Method  string `json:"method"`
		URL     string `json:"url"`
		Headers string `json:"headers"` // a field a line
		Body    string `json:"body"`
	} `json:"request"`
	Backends bool `json:"backends"` // whether they are asked
}

// runAnswer is what became of it.
type runAnswer struct {
	checkAnswer
	Result *explain.Result `json:"result,omitempty"` // its steps are in the tree
	Reason string          `json:"reason,omitempty"` // what the status means
	Took   float64         `json:"took"`             // in milliseconds
}

// How long a request may take, without and with backends.
const (
	maxRun      = 5 * time.Second
	maxBackends = 30 * time.Second
)

func (p *Playground) run(r *http.Request) (any, error) {
	asked, err := readJSON[runRequest](r)
	if err != nil {
		return nil, err
	}
	request, err := asked.parse()
	if err != nil {
		return nil, apiError{http.StatusUnprocessableEntity, err}
	}
	limit := maxRun
	if asked.Backends {
		limit = maxBackends
	}
	var answer runAnswer
	var wrong error
	err = p.loader.use(r.Context(), asked.Script, func(program *runtime.Program, log *capturedLog, err error) {
		answer.checkAnswer = examine(program, asked.Script, err)
		if err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		defer cancel()
		log.take() // of the check
		begun := time.Now()
		answer.Result, wrong = explain.Run(ctx, program, request, explain.Options{Backends: asked.Backends, MaxBody: 256 << 10})
		if wrong != nil {
			return
		}
		answer.Took = float64(time.Since(begun)) / float64(time.Millisecond)
		light(answer.Tree, answer.Result.Steps)
		answer.Result.Steps, answer.Reason = nil, runtime.StatusText(answer.Result.Status)
		answer.Log = log.take()
	})
	if wrong != nil {
		return nil, apiError{http.StatusUnprocessableEntity, wrong}
	}
	return answer, err
}

// parse reads what was typed.
func (r *runRequest) parse() (explain.Request, error) {
	out := explain.Request{Method: strings.ToUpper(strings.TrimSpace(r.Request.Method)), URL: strings.TrimSpace(r.Request.URL), Body: []byte(r.Request.Body)}
	if !runtime.ValidFieldName(out.Method) { // both are tokens (RFC 9110, 9.1)
		return out, fmt.Errorf("the method %q is none", r.Request.Method)
	}
	for l := range strings.Lines(r.Request.Headers) {
		if l = strings.TrimSpace(l); l == "" {
			continue
		}
		f, err := explain.ParseHeader(l)
		if err != nil {
			return out, err
		}
		out.Header = append(out.Header, f)
	}
	return out, nil
}
