package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"luaserve/explain"
	"luaserve/runtime"
)

// explainFlags are the flags of the command explain.
type explainFlags struct {
	headers  []string
	data     string
	remote   string
	backends bool
	json     bool
	body     bool
	all      bool
	server   string
	keyFile  string
	sandbox  runtime.Sandbox
}

func (a *app) explainCommand() *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{
		Use:   "explain SITE.lua [METHOD] URL",
		Short: "Tell which rules take a request, and why",
		Long: `Run one request through the pipeline of a script, without listening anywhere, and
print every action that it meets, in order: the place in the script, what a condition
saw, whether it holds, what the action changed, and which one decided.

Backends (fastcgi, scgi, cgi, proxy) are not asked unless --backends is given: the first
one that is reached counts as an empty answer with the status 200.

With --server a running server is asked instead of a script. Its script must have
action.debug.explain with the same key.`,
		Example: `  luaserve explain site.lua http://trac.example.net/wiki
  luaserve explain site.lua POST http://example.net/login -H 'Cookie: a=b' -d 'user=x'
  luaserve explain site.lua http://example.net/ --json | jq .decided
  luaserve explain --server http://127.0.0.1:8080 --key-file explain.key http://example.net/`,
		Args: func(cmd *cobra.Command, args []string) error {
			most := 3
			if f.server != "" {
				most = 2
			}
			if len(args) < most-1 || len(args) > most {
				return fmt.Errorf("expected a script, a method if it is not GET, and a URL, got %d arguments: %s", len(args), cmd.UseLine())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			req, err := f.request(args)
			if err != nil {
				return err
			}
			result, err := a.explained(cmd.Context(), f, args[0], req)
			if err != nil {
				return err
			}
			return a.printExplained(result, f)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&f.headers, "header", "H", nil, "a `field` of the request, \"Name: value\"; may be repeated")
	flags.StringVarP(&f.data, "data", "d", "", "the `body` of the request, @FILE for that of a file, @- for stdin")
	flags.StringVar(&f.remote, "remote", "", "the `address` that the request seems to come from (127.0.0.1)")
	flags.BoolVar(&f.backends, "backends", false, "really ask backends")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	flags.BoolVar(&f.body, "body", false, "also print the body of the answer")
	flags.BoolVar(&f.all, "all", false, "also print each of many conditions in a row that do not hold")
	flags.StringVar(&f.server, "server", "", "ask the running server at this `URL`")
	flags.StringVar(&f.keyFile, "key-file", "", "the `file` with the key of that server's action.debug.explain")
	cmd.MarkFlagsRequiredTogether("server", "key-file")
	sandboxFlags(cmd, &f.sandbox)
	for _, flag := range sandboxFlagNames {
		cmd.MarkFlagsMutuallyExclusive("server", flag) // that server has its own
	}
	return cmd
}

// request makes the request of the command line.
func (f *explainFlags) request(args []string) (explain.Request, error) {
	req := explain.Request{URL: args[len(args)-1]}
	if first := len(args) - 2; first >= 0 && (f.server != "" || first > 0) {
		req.Method = strings.ToUpper(args[first])
	}
	for _, h := range f.headers {
		field, err := explain.ParseHeader(h)
		if err != nil {
			return req, err
		}
		req.Header = append(req.Header, field)
	}
	var err error
	if req.Body, err = readData(f.data); err != nil {
		return req, err
	}
	if f.remote != "" {
		if req.Remote, err = explain.ParseRemote(f.remote); err != nil {
			return req, fmt.Errorf("--remote: %w", err)
		}
	}
	return req, nil
}

// readData reads a body as curl takes it.
func readData(data string) ([]byte, error) {
	file, isFile := strings.CutPrefix(data, "@")
	switch {
	case !isFile:
		return []byte(data), nil
	case file == "-":
		return io.ReadAll(os.Stdin)
	}
	return os.ReadFile(file)
}

// explained runs the request through the script, or has a server do it.
func (a *app) explained(ctx context.Context, f explainFlags, site string, req explain.Request) (*explain.Result, error) {
	if f.server != "" {
		key, err := explain.ReadKey(f.keyFile)
		if err != nil {
			return nil, err
		}
		return explain.Ask(ctx, f.server, key, req)
	}
	log := slog.New(slog.DiscardHandler) // the messages are in the trace
	if a.verbose {
		log = a.logger()
	}
	p, err := loadToInspect(site, log, f.sandbox)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	return explain.Run(ctx, p, req, explain.Options{Backends: f.backends})
}

func (a *app) printExplained(r *explain.Result, f explainFlags) error {
	if f.json {
		out := json.NewEncoder(a.stdout)
		out.SetEscapeHTML(false)
		out.SetIndent("", "  ")
		return out.Encode(r)
	}
	if err := r.Text(a.stdout, a.explainStyle(f.all)); err != nil || !f.body {
		return err
	}
	if r.Binary {
		return errors.New("the body is no text")
	}
	_, err := fmt.Fprintf(a.stdout, "\n%s", r.Body)
	return err
}

// explainStyle fits stdout, as [app.printer] does.
func (a *app) explainStyle(all bool) explain.Style {
	style := explain.Style{All: all, Colour: a.printer().Bold}
	if file, ok := a.stdout.(*os.File); ok {
		if columns, _, err := term.GetSize(int(file.Fd())); err == nil && columns > 0 {
			style.Width = max(columns/2, 40)
		}
	}
	return style
}
