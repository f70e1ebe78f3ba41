// Package repl evaluates conditions, patterns, actions and Lua against a request that one
// sets up, behind the actions of a site.
package repl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"luaserve/explain"
	"luaserve/runtime"
)

// Session is one conversation. It is not safe for concurrent use.
type Session struct {
	// Load makes a program of a script, whose text is that of unsaved where it has its name
	// ([runtime.Config.Unsaved]); it must keep arguments ([runtime.Config.Inspect]).
	Load func(site string, unsaved map[string][]byte) (*runtime.Program, error)
	// Style is how explanations look.
	Style explain.Style

	site    string
	request explain.Request
	options explain.Options
	out     io.Writer
}

// New begins a session with a site, "" for none, that is asked for http://localhost/.
func New(site string, out io.Writer) *Session {
	return &Session{site: site, out: out, request: explain.Request{URL: "http://localhost/"}}
}

// command is something that is typed with a dot before it.
type command struct {
	name, args, doc string
	run             func(s *Session, ctx context.Context, rest string) error
}

// commands is a function because the command help lists them.
func commands() []command {
	return []command{
		{"get", "URL", "the request is a GET of this", func(s *Session, _ context.Context, rest string) error { return s.set("GET", rest) }},
		{"request", "METHOD URL", "any other request", func(s *Session, _ context.Context, rest string) error {
			method, url, _ := strings.Cut(rest, " ")
			return s.set(strings.ToUpper(method), strings.TrimSpace(url))
		}},
		{"header", "Name: value", "adds a header field; without one, takes all away", func(s *Session, _ context.Context, rest string) error {
			if rest == "" {
				s.request.Header = nil
				return nil
			}
			f, err := explain.ParseHeader(rest)
			if err == nil {
				s.request.Header = append(s.request.Header, f)
			}
			return err
		}},
		{"body", "TEXT", "the body of the request", func(s *Session, _ context.Context, rest string) error {
			s.request.Body = []byte(rest)
			return nil
		}},
		{"remote", "ADDRESS", "whom the request comes from", func(s *Session, _ context.Context, rest string) (err error) {
			s.request.Remote, err = explain.ParseRemote(rest)
			return err
		}},
		{"show", "", "prints the request", func(s *Session, _ context.Context, _ string) error { return s.show() }},
		{"explain", "", "tells which actions of the site the request meets", (*Session).explain},
		{"backends", "on|off", "whether backends are really asked", func(s *Session, _ context.Context, rest string) error {
			if rest != "on" && rest != "off" {
				return fmt.Errorf("expected on or off, got %q", rest)
			}
			s.options.Backends = rest == "on"
			return nil
		}},
		{"help", "", "lists the commands", func(s *Session, _ context.Context, _ string) error { return s.help() }},
	}
}

// Commands returns the names of the commands, with their dots, for completion.
func Commands() []string {
	var out []string
	for _, c := range commands() {
		out = append(out, "."+c.name)
	}
	return out
}

// Eval does what a line says and prints the result. A line is a command (.help), a condition
// (request.path:prefix "/a"), an action (docroot "/srv"), a pattern ("%{req.path}"), or Lua, which
// has the request as vr. What it is evaluated on is the request behind all actions of the site.
func (s *Session) Eval(ctx context.Context, line string) error {
	line = strings.TrimSpace(line)
	if name, isCommand := strings.CutPrefix(line, "."); isCommand {
		name, rest, _ := strings.Cut(name, " ")
		all := commands()
		for _, c := range all {
			if c.name == name {
				return c.run(s, ctx, strings.TrimSpace(rest))
			}
		}
		names := make([]string, len(all))
		for i, c := range all {
			names[i] = c.name
		}
		return runtime.Unknown("command", name, names)
	}
	if line == "" || strings.HasPrefix(line, "--") {
		return nil
	}
	return s.evaluate(ctx, line)
}

func (s *Session) set(method, url string) error {
	if url == "" {
		return errors.New("the URL is missing")
	}
	if !strings.Contains(url, "://") && strings.HasPrefix(url, "/") {
		url = "http://localhost" + url
	}
	s.request.Method, s.request.URL = method, url
	return nil
}

func (s *Session) show() error {
	method := s.request.Method
	if method == "" {
		method = "GET"
	}
	fmt.Fprintf(s.out, "%s %s\n", method, s.request.URL)
	for _, f := range s.request.Header {
		fmt.Fprintf(s.out, "%s: %s\n", f.Name, f.Value)
	}
	if len(s.request.Body) > 0 {
		fmt.Fprintf(s.out, "\n%s\n", s.request.Body)
	}
	return nil
}

func (s *Session) help() error {
	fmt.Fprint(s.out, `request.path:prefix "/a"    a condition: what it saw, and whether it holds
"%{req.host}/%{req.path}"   a pattern: what comes out
docroot "/srv/www"          an action: what it changes
vr.req.uri.path             Lua, with the request as vr
`)
	for _, c := range commands() {
		fmt.Fprintf(s.out, "%-27s %s\n", strings.TrimSpace("."+c.name+" "+c.args), c.doc)
	}
	return nil
}

func (s *Session) explain(ctx context.Context, _ string) error {
	p, err := s.load("")
	if err != nil {
		return err
	}
	defer p.Close()
	r, err := explain.Run(ctx, p, s.request, s.options)
	if err != nil {
		return err
	}
	return r.Text(s.out, s.Style)
}

// scriptName is the name of what is typed, in messages.
const scriptName = "site"

// load loads the site with something behind it. Both are one script, so that what is typed
// sees the local variables of the site.
func (s *Session) load(behind string) (*runtime.Program, error) {
	if s.site == "" {
		return s.Load(scriptName, map[string][]byte{scriptName: []byte("actions = {}\n" + behind)})
	}
	src, err := os.ReadFile(s.site)
	if err != nil {
		return nil, err
	}
	return s.Load(s.site, map[string][]byte{s.site: slices.Concat(src, []byte("\n"), []byte(behind))})
}
