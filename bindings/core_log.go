package bindings

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"

	"luaserve/runtime"
)

func logOption() runtime.Option {
	return runtime.Option{Name: runtime.OptionLog, Type: runtime.TPairs, Default: (*slog.Logger)(nil), Parse: parseLogTargets,
		Doc: "Where the messages about requests go, by their level: debug, info, warning, error, backend (what applications write to stderr), and default for all others (also written \"*\"); abort is accepted, there are no such messages. " +
			`A target is a file, to which is appended ("file:/path" or a path), "stderr" for the server's own log, or "" to drop them. ` +
			"A file gets the levels that name it, whatever the level of the server's own log; what is not named goes there. " +
			"Files are opened when the script is loaded, and again when it is loaded again, as after a rotation. " +
			"What is no matter of a request, like a failed reload, always goes to the server's own log. Pipes and syslog are refused: let a service manager take stderr.",
		Example: `setup.log { error = "error.log", backend = "backend.log", default = "stderr" }`}
}

// The places of the levels in logTargets.
const (
	logDebug = iota
	logInfo
	logWarning
	logError
	logBackend
	logPlaces
)

var logLevels = map[string]int{"debug": logDebug, "info": logInfo, "warning": logWarning, "error": logError, "backend": logBackend}

// logTargets hands each message to the handler of its level.
type logTargets struct {
	own      slog.Handler            // of the server's own log
	handlers [logPlaces]slog.Handler // nil drops the message
	named    [logPlaces]bool         // its own level does not count
}

// Enabled implements [slog.Handler].
func (t *logTargets) Enabled(ctx context.Context, level slog.Level) bool {
	return t.takes(ctx, placeOf(level), level) || t.takes(ctx, logBackend, level)
}

// Handle implements [slog.Handler].
func (t *logTargets) Handle(ctx context.Context, r slog.Record) error {
	place := placeOf(r.Level)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "stream" && a.Value.String() == "stderr" {
			place = logBackend
		}
		return place != logBackend
	})
	if !t.takes(ctx, place, r.Level) {
		return nil
	}
	return t.handlers[place].Handle(ctx, r)
}

func (t *logTargets) takes(ctx context.Context, place int, level slog.Level) bool {
	h := t.handlers[place]
	return h != nil && h.Enabled(ctx, level) && (t.named[place] || t.own.Enabled(ctx, level))
}

func placeOf(level slog.Level) int {
	switch {
	case level < slog.LevelInfo:
		return logDebug
	case level < slog.LevelWarn:
		return logInfo
	case level < slog.LevelError:
		return logWarning
	}
	return logError
}

// WithAttrs implements [slog.Handler].
func (t *logTargets) WithAttrs(attrs []slog.Attr) slog.Handler {
	return t.each(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

// WithGroup implements [slog.Handler].
func (t *logTargets) WithGroup(name string) slog.Handler {
	return t.each(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (t *logTargets) each(change func(slog.Handler) slog.Handler) *logTargets {
	out := *t
	out.own = change(t.own)
	for i, h := range t.handlers {
		if h != nil {
			out.handlers[i] = change(h)
		}
	}
	return &out
}

// logFilesKey is what a program's message files are found by.
type logFilesKey struct{}

// messageFiles are the open files that messages go to. Each message is one write to the end
// of a file, so that two programs may use it while one takes over from the other.
type messageFiles struct {
	mu       sync.Mutex
	files    []*os.File
	handlers map[string]slog.Handler
}

func (m *messageFiles) open(b *runtime.Builder, path string) (slog.Handler, error) {
	if err := checkLogFile(b, path); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if h := m.handlers[path]; h != nil {
		return h, nil
	}
	if err := tooManyLogs(b, len(m.files)); err != nil {
		return nil, err
	}
	f, err := openLog(b, path)
	if err != nil {
		return nil, err
	}
	m.files = append(m.files, f)
	m.handlers[path] = slog.NewTextHandler(f, &slog.HandlerOptions{Level: slog.LevelDebug})
	return m.handlers[path], nil
}

func (m *messageFiles) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.files {
		f.Close()
	}
}

func parseLogTargets(b *runtime.Builder, v runtime.Value) (any, error) {
	own := b.Log().Handler()
	targets := logTargets{own: own, handlers: [logPlaces]slog.Handler{own, own, own, own, own}}
	pairs, _ := v.Pairs()
	for _, p := range pairs {
		level, _ := p.Key.Str()
		if level == "*" {
			level = "default"
		}
		place, known := logLevels[level]
		if !known && level != "abort" && level != "default" {
			return nil, unknownLevel(p.Key)
		}
		h, err := logTarget(b, p.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", level, err)
		}
		switch {
		case known:
			targets.handlers[place], targets.named[place] = h, true
		case level == "default":
			for place := range targets.handlers {
				if !targets.named[place] {
					targets.handlers[place] = h
				}
			}
		}
	}
	return slog.New(&targets), nil
}

func unknownLevel(key runtime.Value) error {
	name, _ := key.Str()
	known := []string{"debug", "info", "warning", "error", "abort", "backend", "default"}
	if near := runtime.Nearest(name, known); near != "" {
		return fmt.Errorf("unknown level %s; did you mean %q?", key, near)
	}
	return fmt.Errorf("unknown level %s; expected one of %s", key, strings.Join(known, ", "))
}

// logTarget returns the handler of a target, nil for one that drops everything.
func logTarget(b *runtime.Builder, v runtime.Value) (slog.Handler, error) {
	target, ok := v.Str()
	switch {
	case !ok:
		return nil, fmt.Errorf("expected a target, got %s", v.Kind())
	case target == "":
		return nil, nil
	case target == "stderr" || target == "stderr:":
		return b.Log().Handler(), nil
	case strings.HasPrefix(target, "|"), strings.HasPrefix(target, "pipe:"), strings.HasPrefix(target, "syslog:"):
		return nil, fmt.Errorf(`%q: logging to pipes and to syslog is not supported; expected a file, "stderr" or ""`, target)
	}
	files := b.Shared(logFilesKey{}, func() any {
		m := &messageFiles{handlers: map[string]slog.Handler{}}
		b.OnClose(m.close)
		return m
	}).(*messageFiles)
	return files.open(b, strings.TrimPrefix(target, "file:"))
}
