// Package luaio is Lua 5.1's io library for gopher-lua states, with those functions of os
// that touch files and processes.
//
// It does what PUC-Rio Lua 5.1 does, with what a server needs: reading and waiting end with
// the context of the Lua thread, what is read at once is bounded, a named pipe is not waited
// for when it is opened, and all files can be confined to a directory that no symbolic link
// leads out of.
package luaio

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	lua "github.com/yuin/gopher-lua"
)

// Options say what the libraries of a state can do.
type Options struct {
	// MaxLen bounds what one call reads, in bytes.
	MaxLen int
	// Root is the directory that all names of files are confined to; "" is no limit.
	Root string
	// NoFiles refuses all names of files: there is no root to confine them to.
	NoFiles bool
}

// fileClass is the name of the metatable of files, as in Lua 5.1.
const fileClass = "FILE*"

// library is what the functions of one state share.
type library struct {
	Options
	meta     *lua.LTable
	defaults *lua.LTable // the files of io.read and io.write
}

// The names of the default files. They are kept in the registry, so that whoever copies a
// state finds them.
const (
	registryDefaults = "luaserve io"
	defaultInput     = "input"
	defaultOutput    = "output"
)

// Open adds the io library to a state, and to its os library execute, remove, rename and
// tmpname.
func Open(L *lua.LState, options Options) {
	lib := &library{Options: options, meta: L.NewTypeMetatable(fileClass), defaults: L.NewTable()}
	methods := map[string]func(*lua.LState, *library, *file) int{
		"close": fileClose, "flush": fileFlush, "lines": fileLines, "read": fileRead, "seek": fileSeek, "setvbuf": fileSetvbuf, "write": fileWrite,
	}
	for name, f := range methods {
		lib.meta.RawSetString(name, L.NewFunction(func(L *lua.LState) int { return f(L, lib, lib.checkOpen(L)) }))
	}
	lib.meta.RawSetString("__tostring", L.NewFunction(lib.fileToString))
	lib.meta.RawSetString("__index", lib.meta)
	lib.meta.RawSetString("__metatable", lua.LFalse)

	mod := L.RegisterModule(lua.IoLibName, nil).(*lua.LTable)
	for name, f := range map[string]lua.LGFunction{
		"close": lib.close, "flush": lib.flush, "input": lib.setInput, "lines": lib.lines, "open": lib.open, "output": lib.setOutput,
		"popen": lib.popen, "read": lib.read, "tmpfile": lib.tmpfile, "type": lib.fileType, "write": lib.write,
	} {
		mod.RawSetString(name, L.NewFunction(f))
	}
	standard := func(name string, f *os.File) *lua.LUserData {
		ud := lib.wrap(L, &file{f: f, standard: true})
		mod.RawSetString(name, ud)
		return ud
	}
	lib.defaults.RawSetString(defaultInput, standard("stdin", os.Stdin))
	lib.defaults.RawSetString(defaultOutput, standard("stdout", os.Stdout))
	standard("stderr", os.Stderr)
	L.G.Registry.RawSetString(registryDefaults, lib.defaults)

	if system, ok := L.G.Global.RawGetString(lua.OsLibName).(*lua.LTable); ok {
		for name, f := range map[string]lua.LGFunction{"execute": lib.execute, "remove": lib.remove, "rename": lib.rename, "tmpname": lib.tmpname} {
			system.RawSetString(name, L.NewFunction(f))
		}
	}
}

func (lib *library) wrap(L *lua.LState, f *file) *lua.LUserData {
	return &lua.LUserData{Value: f, Env: L.Env, Metatable: lib.meta}
}

// ErrOutside is the cause of the error for a name outside of [Options].Root.
var ErrOutside = errors.New("it is outside of the directory that the script is confined to")

// ErrNoFiles is the cause of the error for every name when there are no files.
var ErrNoFiles = errors.New("the script has no directory to open files in")

// Confined reports whether names of files are limited.
func (o Options) Confined() bool { return o.Root != "" || o.NoFiles }

// OpenFile opens a file as os.OpenFile does, within the root if there is one. It does not
// wait for the other end of a named pipe.
func (o Options) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	flag |= syscall.O_NONBLOCK
	if !o.Confined() {
		return os.OpenFile(name, flag, perm)
	}
	var f *os.File
	err := o.within("open", name, func(root *os.Root, rel string) (err error) {
		f, err = root.OpenFile(rel, flag, perm)
		return err
	})
	return f, err
}

// Remove removes a file as os.Remove does, within the root if there is one.
func (o Options) Remove(name string) error {
	if !o.Confined() {
		return os.Remove(name)
	}
	return o.within("remove", name, (*os.Root).Remove)
}

// Stat describes a file as os.Stat does, within the root if there is one.
func (o Options) Stat(name string) (info fs.FileInfo, err error) {
	if !o.Confined() {
		return os.Stat(name)
	}
	err = o.within("stat", name, func(root *os.Root, rel string) (err error) {
		info, err = root.Stat(rel)
		return err
	})
	return info, err
}

// Contains returns an error, which names the root, unless a name is one within it once all
// links are resolved. What is not there may be made. It says how things are at this moment: who
// opens a file opens it with [Options.OpenFile].
func (o Options) Contains(name string) error {
	if !o.Confined() {
		return nil
	}
	_, err := o.Stat(name)
	switch {
	case errors.Is(err, ErrOutside):
		return fmt.Errorf("%q: %w: %s", name, ErrOutside, o.Root)
	case errors.Is(err, ErrNoFiles), errors.Is(err, syscall.EINVAL):
		return fmt.Errorf("%q: %w", name, errors.Unwrap(err))
	}
	return nil
}

// MayContain returns an error unless a name that begins like this can be one within the root.
func (o Options) MayContain(prefix string) error {
	if !o.Confined() || o.Root != "" && strings.HasPrefix(o.Root+"/", prefix) {
		return nil
	}
	dir := prefix[:strings.LastIndexByte(prefix, '/')+1]
	if o.Root != "" && !filepath.IsAbs(dir) {
		return fmt.Errorf("%q: %w: %s", prefix, ErrOutside, o.Root)
	}
	return o.Contains(dir)
}

// ReadFile reads a file as os.ReadFile does, within the root if there is one.
func (o Options) ReadFile(name string) ([]byte, error) {
	f, err := o.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// MkdirAll makes a directory and those that it is in, as os.MkdirAll does, within the root if
// there is one.
func (o Options) MkdirAll(name string, perm fs.FileMode) error {
	if !o.Confined() {
		return os.MkdirAll(name, perm)
	}
	return o.within("mkdir", name, func(root *os.Root, rel string) error { return root.MkdirAll(rel, perm) })
}

// Rename renames a file as os.Rename does, within the root if there is one.
func (o Options) Rename(from, to string) error {
	if !o.Confined() {
		return os.Rename(from, to)
	}
	return o.within("rename", from, func(root *os.Root, relFrom string) error {
		return o.within("rename", to, func(_ *os.Root, relTo string) error { return root.Rename(relFrom, relTo) })
	})
}

// within calls f with the root and the name relative to it. A relative name is one within
// the root; an absolute one must begin with it.
func (o Options) within(op, name string, f func(root *os.Root, rel string) error) error {
	fail := func(err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }
	if o.NoFiles || o.Root == "" {
		return fail(ErrNoFiles)
	}
	if strings.IndexByte(name, 0) >= 0 {
		return fail(syscall.EINVAL)
	}
	rel := name
	if filepath.IsAbs(name) {
		var err error
		if rel, err = filepath.Rel(o.Root, name); err != nil {
			return fail(ErrOutside)
		}
	}
	if rel == ".." || strings.HasPrefix(rel, "../") {
		return fail(ErrOutside)
	}
	root, err := os.OpenRoot(o.Root)
	if err != nil {
		return err
	}
	defer root.Close()
	if err = f(root, rel); isEscape(err) {
		return fail(ErrOutside)
	}
	return err
}

// isEscape recognises what os.Root says of a path that leads out; it has no name for it.
func isEscape(err error) bool {
	pe, ok := errors.AsType[*fs.PathError](err)
	return ok && strings.Contains(pe.Err.Error(), "escapes")
}

// pushError leaves what Lua's library returns for an error of the system: nil, a text that
// begins with the name of the file if there is one, and the number of the error.
func pushError(L *lua.LState, name string, err error) int {
	var errno syscall.Errno
	text := err.Error()
	if errors.As(err, &errno) {
		text = errno.Error()
		text = strings.ToUpper(text[:1]) + text[1:]
	} else if cause := errors.Unwrap(err); cause != nil {
		text = cause.Error()
	}
	if name != "" {
		text = name + ": " + text
	}
	L.Push(lua.LNil)
	L.Push(lua.LString(text))
	L.Push(lua.LNumber(errno))
	return 3
}

// result leaves true, or what pushError leaves.
func result(L *lua.LState, name string, err error) int {
	if err != nil {
		return pushError(L, name, err)
	}
	L.Push(lua.LTrue)
	return 1
}

// checkTime raises what the virtual machine raises when the context of its thread is done.
func checkTime(L *lua.LState) {
	if ctx := L.Context(); ctx != nil && ctx.Err() != nil {
		L.RaiseError("%s", ctx.Err().Error())
	}
}

// argError raises the error about an argument as Lua's library words it.
func argError(L *lua.LState, n int, function, problem string) {
	L.RaiseError("%s", fmt.Sprintf("bad argument #%d to '%s' (%s)", n, function, problem))
}

// checkText returns a string, or a number as text.
func checkText(L *lua.LState, n int, function string) string {
	text, ok := textOf(L.Get(n))
	if !ok {
		argError(L, n, function, "string expected, got "+typeName(L, n))
	}
	return text
}

func typeName(L *lua.LState, n int) string {
	if n > L.GetTop() {
		return "no value"
	}
	return L.Get(n).Type().String()
}
