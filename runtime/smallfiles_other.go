//go:build !linux

package runtime

import (
	"io/fs"
	"os"
)

// smallFiles keeps nothing: elsewhere it is not as certain that a file is still the same.
type smallFiles struct{}

// SmallFile is a short file in memory. Nobody may change it.
type SmallFile struct {
	Content []byte
	Info    fs.FileInfo
}

// Small returns nil: the file has to be opened.
func (p *Physical) Small() *SmallFile { return nil }

// KeepSmall returns nil: nothing is kept.
func (p *Physical) KeepSmall(*os.File, fs.FileInfo) *SmallFile { return nil }

// Notes returns nil.
func (f *SmallFile) Notes() any { return nil }

// Note does nothing.
func (f *SmallFile) Note(any) {}
