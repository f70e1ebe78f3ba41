package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// starter is the site that init writes; all: with .luarc.json, whose name begins with a dot.
//
//go:embed all:starter
var starter embed.FS

func (a *app) initCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a small site to begin with",
		Long: `Write a site to begin with into a directory, the current one unless another is named:

  site.lua         its whole configuration, with comments
  site_test.lua    its tests, for luaserve test
  htdocs/          a page
  .luarc.json      settings of lua-language-server
  lighty.d.lua     what scripts can use, for completion and hover texts in editors

A directory that does not exist is made. A file that exists is never overwritten: then
nothing is written, and the exit code is 1.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			return a.writeStarter(dir)
		},
	}
}

// starterFile is a file to write, its name with slashes below the directory.
type starterFile struct {
	name string
	data []byte
}

// writeStarter writes the site, or nothing when a file of it exists.
func (a *app) writeStarter(dir string) error {
	files, err := starterFiles()
	if err != nil {
		return err
	}
	var taken []string
	for _, f := range files {
		if _, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(f.name))); err == nil {
			taken = append(taken, f.name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if len(taken) > 0 {
		return fmt.Errorf("%s: nothing was written, because it would overwrite %s", dir, strings.Join(taken, ", "))
	}
	for _, f := range files {
		if err := writeNew(filepath.Join(dir, filepath.FromSlash(f.name)), f.data); err != nil {
			return err
		}
		fmt.Fprintln(a.stdout, filepath.Join(dir, filepath.FromSlash(f.name)))
	}
	fmt.Fprintf(a.stdout, "\nServe it with: luaserve run --dev --watch %s\n", filepath.Join(dir, "site.lua"))
	return nil
}

// starterFiles returns what is to be written, site.lua first.
func starterFiles() ([]starterFile, error) {
	text, err := annotations(nil)
	if err != nil {
		return nil, err
	}
	out := []starterFile{{"lighty.d.lua", []byte(text)}}
	site, err := fs.Sub(starter, "starter")
	if err != nil {
		return nil, err
	}
	err = fs.WalkDir(site, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(site, name)
		out = append(out, starterFile{name, data})
		return err
	})
	slices.SortFunc(out, func(a, b starterFile) int { return -strings.Compare(a.name, b.name) })
	return out, err
}

// writeNew writes a file that must not exist, and the directories above it.
func writeNew(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}
