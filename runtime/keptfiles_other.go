//go:build !linux

package runtime

import (
	"io/fs"
	"log/slog"
	"os"
)

// keptFiles keeps nothing: elsewhere it is not as certain that a file is still the same.
type keptFiles struct{}

func (*keptFiles) start(*slog.Logger) {}

func (*keptFiles) close() {}

// Batch is requests that had all been read before the first of them was handled.
type Batch struct{}

// KeptFile is a file that was sent before and still is the same. Nobody may change it.
type KeptFile struct {
	Info fs.FileInfo
}

// Kept returns nil: the file has to be opened.
func (p *Physical) Kept() *KeptFile { return nil }

// Keep returns nil: nothing is kept.
func (p *Physical) Keep(*os.File, fs.FileInfo) *KeptFile { return nil }

// AddTo does nothing.
func (f *KeptFile) AddTo(_ *ChunkQueue, off, n int64) {}

// Done does nothing.
func (f *KeptFile) Done() {}

// Notes returns nil.
func (f *KeptFile) Notes() any { return nil }

// Note does nothing.
func (f *KeptFile) Note(any) {}
