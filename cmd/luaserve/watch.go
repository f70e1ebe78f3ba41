package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"luaserve/runtime"
)

// siteLoader loads a script and keeps in mind which files may change what comes of it. It is
// safe for concurrent use.
type siteLoader struct {
	log     *slog.Logger
	sandbox runtime.Sandbox
	dev     bool // clients see what went wrong
	pace    *gcPace

	mu      sync.Mutex
	program *runtime.Program // the last one that was loaded
	tried   []string         // files that only a failed load has named
}

func (l *siteLoader) load(path string) (*runtime.Program, error) {
	loadSite := load
	if l.dev {
		loadSite = loadForDevelopment
	}
	var p *runtime.Program
	var err error
	l.pace.during(func() { p, err = loadSite(path, l.log, l.sandbox) })
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.program, l.tried = p, nil
		return p, nil
	}
	l.tried = append(l.tried[:0], path)
	if le, ok := errors.AsType[*runtime.LoadError](err); ok && le.Pos.File != "" {
		l.tried = append(l.tried, le.Pos.File)
	}
	return nil, err
}

// files returns the files of the program that was loaded last, and of a failed attempt since.
func (l *siteLoader) files() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	files := slices.Clone(l.tried)
	if l.program != nil {
		files = append(files, l.program.Files()...)
	}
	return files
}

// settle is for how long nothing may have changed before a change counts: editors write a
// file in several steps.
const settle = 100 * time.Millisecond

// watchFiles sends when one of files() has changed, was made or replaced, until ctx is done.
func watchFiles(ctx context.Context, files func() []string, log *slog.Logger) (<-chan struct{}, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	v := &fileWatch{watcher: w, files: files, watched: map[string]bool{}, log: log}
	v.follow()
	changes := make(chan struct{})
	go func() {
		defer w.Close()
		v.run(ctx, changes)
	}()
	return changes, nil
}

// fileWatch follows files by their directories: a file that is replaced takes a watch of its
// own away.
type fileWatch struct {
	watcher *fsnotify.Watcher
	files   func() []string
	watched map[string]bool // directories
	names   []string        // the files as the watcher names them
	log     *slog.Logger
}

// follow brings names and watched up to date with files.
func (v *fileWatch) follow() {
	v.names = v.names[:0]
	for _, file := range v.files() {
		absolute, err := filepath.Abs(file)
		if err != nil {
			continue
		}
		v.names = append(v.names, absolute)
		if target, err := filepath.EvalSymlinks(absolute); err == nil && target != absolute {
			v.names = append(v.names, target)
		}
	}
	for _, name := range v.names {
		dir := filepath.Dir(name)
		if v.watched[dir] {
			continue
		}
		if err := v.watcher.Add(dir); err != nil {
			v.log.Warn("a directory cannot be watched", "directory", dir, "error", err)
		}
		v.watched[dir] = true // also after an error: once is enough to be told
	}
}

// moved reports whether a symbolic link on the way to a file leads elsewhere now.
func (v *fileWatch) moved() bool {
	before := slices.Clone(v.names)
	v.follow()
	return !slices.Equal(before, v.names)
}

func (v *fileWatch) run(ctx context.Context, changes chan<- struct{}) {
	settled := time.NewTimer(time.Hour)
	settled.Stop()
	refresh := time.NewTicker(time.Second) // a handler may have been loaded since
	defer refresh.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case err := <-v.watcher.Errors:
			v.log.Warn("changes may have been missed", "error", err)
		case <-refresh.C:
			v.follow()
		case e := <-v.watcher.Events:
			if !e.Has(fsnotify.Chmod) && slices.Contains(v.names, e.Name) || v.moved() {
				settled.Reset(settle)
			}
		case <-settled.C:
			select {
			case changes <- struct{}{}:
			case <-ctx.Done():
				return
			}
			v.follow()
		}
	}
}
