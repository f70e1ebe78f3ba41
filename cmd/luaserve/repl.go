package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"luaserve/bindings"
	"luaserve/repl"
	"luaserve/runtime"
	"luaserve/scripts"
)

func (a *app) replCommand() *cobra.Command {
	var sandbox runtime.Sandbox
	cmd := &cobra.Command{
		Use:   "repl [SITE.lua]",
		Short: "Try conditions, patterns, actions and Lua against a request",
		Long: `Try conditions, patterns, actions and Lua against a request that you set up, as it is
behind all actions of a site: nothing listens, backends are not asked.

  > .get http://example.net/app/x
  > request.path:prefix "/app"
  request.path:prefix("/app") saw "/app/x": yes
  > "%{req.host}%{req.path}"
  "example.net/app/x"
  > vr.req.headers["Host"]
  "example.net"

.help lists the commands. Tab completes names, the arrow keys bring back earlier lines,
also those of earlier sessions. Without a terminal, lines are read from stdin; the exit
code is 1 then if one of them is wrong.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			site := ""
			if len(args) > 0 {
				site = args[0]
				p, err := load(site, slog.New(slog.DiscardHandler), sandbox) // what is wrong with it is said first
				if err != nil {
					return err
				}
				p.Close()
			}
			if file, ok := cmd.InOrStdin().(*os.File); ok && term.IsTerminal(int(file.Fd())) {
				return a.replOnTerminal(cmd.Context(), file, site, sandbox)
			}
			return a.replOnLines(cmd.Context(), cmd.InOrStdin(), site, sandbox)
		},
	}
	sandboxFlags(cmd, &sandbox)
	return cmd
}

func (a *app) newSession(site string, out io.Writer, sandbox runtime.Sandbox) *repl.Session {
	s := repl.New(site, out)
	s.Style = a.explainStyle(false)
	s.Load = func(site string, unsaved map[string][]byte) (*runtime.Program, error) {
		return runtime.Load(site, runtime.Config{
			Modules: bindings.Modules(), Scripts: scripts.FS, Log: slog.New(slog.DiscardHandler), Inspect: true, Unsaved: unsaved, Sandbox: sandbox,
		})
	}
	return s
}

// replOnLines evaluates the lines of a file or a pipe.
func (a *app) replOnLines(ctx context.Context, in io.Reader, site string, sandbox runtime.Sandbox) error {
	s, wrong := a.newSession(site, a.stdout, sandbox), 0
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if err := s.Eval(ctx, lines.Text()); err != nil {
			wrong++
			fmt.Fprintln(a.stderr, err)
		}
	}
	if lines.Err() == nil && wrong > 0 {
		return fmt.Errorf("%d lines were wrong", wrong)
	}
	return lines.Err()
}

func (a *app) replOnTerminal(ctx context.Context, file *os.File, site string, sandbox runtime.Sandbox) error {
	old, err := term.MakeRaw(int(file.Fd()))
	if err != nil {
		return err
	}
	defer term.Restore(int(file.Fd()), old)
	t := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{file, a.stdout}, "> ")
	if width, height, err := term.GetSize(int(file.Fd())); err == nil {
		t.SetSize(width, height)
	}
	names, err := replNames()
	if err != nil {
		return err
	}
	history := openHistory()
	defer history.close()
	t.History = history
	t.AutoCompleteCallback = func(line string, pos int, key rune) (string, int, bool) {
		if key != '\t' {
			return "", 0, false
		}
		return completeLine(t, names, line, pos)
	}
	s := a.newSession(site, t, sandbox)
	fmt.Fprintln(t, "conditions, patterns, actions and Lua (vr) are evaluated on a request; .help lists commands, Ctrl-D ends")
	for {
		line, err := t.ReadLine()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, term.ErrPasteIndicator) {
			return err
		}
		if err := s.Eval(ctx, line); err != nil {
			fmt.Fprintln(t, err)
		}
	}
}

// replNames are the names that can be completed.
func replNames() ([]string, error) {
	ref, err := newReference()
	if err != nil {
		return nil, err
	}
	names := slices.Concat(ref.Names(), repl.Commands())
	for _, op := range runtime.Operators() {
		names = append(names, ":"+op.Name)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// completeLine completes the word before the cursor as far as all names agree, and lists
// them when that is no further.
func completeLine(w io.Writer, names []string, line string, pos int) (string, int, bool) {
	begin := strings.LastIndexAny(line[:pos], " \t({[,=\"") + 1
	word := line[begin:pos]
	if colon := strings.LastIndexByte(word, ':'); colon >= 0 { // an operator behind a variable
		begin += colon
		word = word[colon:]
	}
	var found []string
	for _, name := range names {
		if word != "" && strings.HasPrefix(name, word) {
			found = append(found, name)
		}
	}
	if len(found) == 0 {
		return "", 0, false
	}
	common := found[0]
	for _, name := range found[1:] {
		for !strings.HasPrefix(name, common) {
			common = common[:len(common)-1]
		}
	}
	if common == word && len(found) > 1 {
		fmt.Fprintln(w, strings.Join(found, "  "))
	}
	return line[:begin] + common + line[pos:], begin + len(common), true
}

// maxHistory is how many lines are kept.
const maxHistory = 1000

// history keeps the lines of all sessions in a file; without one, those of this session.
type history struct {
	lines []string
	file  *os.File
}

// openHistory reads the lines of earlier sessions. That they cannot be had is no error.
func openHistory() *history {
	h := &history{}
	dir := os.Getenv("XDG_STATE_HOME")
	if home, err := os.UserHomeDir(); dir == "" && err == nil {
		dir = filepath.Join(home, ".local", "state")
	}
	name := filepath.Join(dir, "luaserve", "repl-history")
	if text, err := os.ReadFile(name); err == nil {
		h.lines = strings.Split(strings.TrimSpace(string(text)), "\n")
		h.lines = h.lines[max(0, len(h.lines)-maxHistory):]
	}
	if os.MkdirAll(filepath.Dir(name), 0o700) == nil {
		h.file, _ = os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	}
	return h
}

// Add implements [term.History].
func (h *history) Add(line string) {
	if strings.TrimSpace(line) == "" || len(h.lines) > 0 && h.lines[len(h.lines)-1] == line {
		return
	}
	h.lines = append(h.lines, line)
	if h.file != nil {
		fmt.Fprintln(h.file, line)
	}
}

// Len implements [term.History].
func (h *history) Len() int { return len(h.lines) }

// At implements [term.History]: 0 is the last line.
func (h *history) At(i int) string { return h.lines[len(h.lines)-1-i] }

func (h *history) close() {
	if h.file != nil {
		h.file.Close()
	}
}
