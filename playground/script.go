package playground

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"luaserve/runtime"
)

// memory is what Lua may take: while the script is loaded, and in each call.
const memory = 256 << 20

// loader loads scripts as the page has them, and keeps the last one.
type loader struct {
	config Config

	mu      sync.Mutex
	text    string
	files   []string // that the script was made of, and a stamp of them
	stamp   string
	program *runtime.Program
	err     error
	log     *capturedLog
}

// use calls f with the program of a script, or with the error of loading it. The program is
// the one of the last call where nothing has changed: what its handlers count goes on.
func (l *loader) use(ctx context.Context, text string, f func(*runtime.Program, *capturedLog, error)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil { // the page has sent a newer script meanwhile
		return err
	}
	if l.log == nil || l.text != text || l.stamp != l.look() {
		l.load(text)
	}
	f(l.program, l.log, l.err)
	return nil
}

func (l *loader) load(text string) {
	l.drop()
	l.log = &capturedLog{}
	c := l.config.Runtime
	c.Unsaved = map[string][]byte{l.config.File: []byte(text)}
	c.Log = slog.New(l.log)
	c.Inspect = true
	c.LoadBudget, c.MaxLuaMemory, c.MaxLoadMemory = c.LuaBudget, memory, memory
	l.text = text
	l.program, l.err = runtime.Load(l.config.File, c)
	if l.err == nil {
		l.files = l.program.Files()
	}
	l.stamp = l.look()
}

// look tells the other files of the program apart from what they were before.
func (l *loader) look() string {
	if l.err != nil {
		return time.Now().String() // a file may have been missing
	}
	var b strings.Builder
	for _, file := range l.files {
		if info, err := os.Stat(file); err == nil && file != l.config.File {
			fmt.Fprintln(&b, file, info.ModTime().UnixNano(), info.Size())
		}
	}
	return b.String()
}

func (l *loader) drop() {
	if l.program != nil {
		l.program.Close()
	}
	l.program, l.log = nil, nil
}

func (l *loader) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop()
}

// LogLine is a message of the script or of the runtime.
type LogLine struct {
	Level   string `json:"level"`
	Message string `json:"message"`
}

// capturedLog keeps messages until they are taken.
type capturedLog struct {
	mu    sync.Mutex
	lines []LogLine
}

const maxLogLines = 1000

// Enabled implements [slog.Handler], as all that follow.
func (*capturedLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (l *capturedLog) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, "  %s=%v", a.Key, a.Value)
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) < maxLogLines {
		l.lines = append(l.lines, LogLine{strings.ToLower(r.Level.String()), b.String()})
	}
	return nil
}

func (l *capturedLog) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *capturedLog) WithGroup(string) slog.Handler      { return l }

func (l *capturedLog) take() []LogLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}

// scriptAnswer is the script when the page opens.
type scriptAnswer struct {
	Name     string `json:"name"`
	Text     string `json:"text"`
	Revision string `json:"revision"` // what save wants to know
	Save     bool   `json:"save"`     // whether it can be written
}

func (p *Playground) script(*http.Request) (any, error) {
	text, err := os.ReadFile(p.config.File)
	if err != nil {
		return nil, err
	}
	return scriptAnswer{p.config.File, string(text), revision(text), p.config.Save}, nil
}

// revision tells versions of a text apart.
func revision(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// save writes the script, unless somebody else has changed it.
func (p *Playground) save(r *http.Request) (any, error) {
	asked, err := readJSON[struct {
		Script   string `json:"script"`
		Revision string `json:"revision"`
	}](r)
	if err != nil {
		return nil, err
	}
	if !p.config.Save {
		return nil, apiError{http.StatusConflict, errors.New("there is no file to save to: start with luaserve playground SITE.lua")}
	}
	p.loader.mu.Lock()
	defer p.loader.mu.Unlock()
	file, err := filepath.EvalSymlinks(p.config.File) // a link stays one
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	have, err := os.ReadFile(file)
	if err != nil || revision(have) != asked.Revision {
		return nil, apiError{http.StatusConflict, fmt.Errorf("%s has changed on disk since it was opened here; it was not saved", p.config.File)}
	}
	if err := replaceFile(file, []byte(asked.Script)); err != nil {
		return nil, fmt.Errorf("%s was not saved: %w", p.config.File, err)
	}
	return map[string]string{"revision": revision([]byte(asked.Script))}, nil
}

// replaceFile writes a file in one step: others see the old text or the new one.
func replaceFile(file string, text []byte) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".luaserve-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // an error once it is renamed
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(info.Mode().Perm())
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
