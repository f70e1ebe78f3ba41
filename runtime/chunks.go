package runtime

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"luaserve/runtime/luaio"
)

// The library functions that compile Lua code, replaced by ones that compile it as scripts
// are compiled (see concat.go), take no more than a limit, and keep to the files that the
// script may read.

// compiler compiles chunks for a state.
type compiler struct{ st *state }

func (st *state) openCompiler() {
	L, c := st.L, compiler{st}
	for name, f := range map[string]lua.LGFunction{
		"loadstring": c.loadString, "load": c.load, "loadfile": c.loadFile, "dofile": c.doFile,
	} {
		L.G.Global.RawSetString(name, L.NewFunction(f))
	}
	const luaLoader = 2 // the second one of package.loaders looks for Lua files
	if loaders, ok := L.GetField(L.Get(lua.RegistryIndex), "_LOADERS").(*lua.LTable); ok {
		loaders.RawSetInt(luaLoader, L.NewFunction(c.findModule))
	}
	if st.heap.sandbox.Level == SandboxUntrusted {
		L.SetField(L.GetField(L.Get(lua.EnvironIndex), "package"), "path", lua.LString("?.lua;?/init.lua"))
	}
}

// maxChunk bounds the Lua code that is compiled at once while requests run, or for an
// untrusted script, in bytes: the parser takes up to five hundred times as much memory, and
// nothing interrupts it.
const maxChunk = 256 << 10

func (c compiler) limit() int {
	if c.st.level() == SandboxTrusted {
		return c.st.heap.prog.maxStringBytes()
	}
	return maxChunk
}

func (c compiler) compile(L *lua.LState, src, name string) (*lua.LFunction, error) {
	if len(src) > c.limit() {
		return nil, fmt.Errorf("%s: the code has %d bytes, more than %d", name, len(src), c.limit())
	}
	proto, err := c.st.compile([]byte(src), name)
	if err != nil {
		return nil, err
	}
	return L.NewFunctionFromProto(proto), nil
}

// push leaves a compiled chunk, or nil and why there is none.
func (c compiler) push(L *lua.LState, src, name string) int {
	fn, err := c.compile(L, src, name)
	if err != nil {
		return pushError(L, err)
	}
	L.Push(fn)
	return 1
}

func pushError(L *lua.LState, err error) int {
	L.Push(lua.LNil)
	L.Push(lua.LString(err.Error()))
	return 2
}

func (c compiler) loadString(L *lua.LState) int {
	return c.push(L, L.CheckString(1), L.OptString(2, "<string>"))
}

// load collects the pieces that a function returns until it returns nothing.
func (c compiler) load(L *lua.LState) int {
	reader, name := L.CheckFunction(1), L.OptString(2, "?")
	var src strings.Builder
	for {
		L.Push(reader)
		L.Call(0, 1)
		piece := L.Get(-1)
		L.Pop(1)
		if piece == lua.LNil || piece == lua.LString("") {
			return c.push(L, src.String(), name)
		}
		text, ok := piece.(lua.LString)
		if !ok {
			return pushError(L, errors.New("reader function must return a string"))
		}
		if src.WriteString(string(text)); src.Len() > c.limit() {
			return c.push(L, src.String(), name)
		}
		checkTime(L)
	}
}

// read reads a file of Lua code: a regular one, because others may have no end.
func (c compiler) read(name string) (string, error) {
	text, err := readRegular(c.st.heap.files(), name, int64(c.limit()))
	if err != nil {
		return "", errors.New("cannot open " + name + ": " + err.Error())
	}
	return string(skipShebang(text)), nil
}

// readRegular reads a regular file of no more than limit bytes.
func readRegular(files luaio.Options, name string, limit int64) ([]byte, error) {
	f, err := files.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("it is no regular file")
	}
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	return text, err
}

func (c compiler) loadFile(L *lua.LState) int {
	name := L.CheckString(1)
	src, err := c.read(name)
	if err != nil {
		return pushError(L, err)
	}
	return c.push(L, src, name)
}

func (c compiler) doFile(L *lua.LState) int {
	name := L.CheckString(1)
	src, err := c.read(name)
	var fn *lua.LFunction
	if err == nil {
		fn, err = c.compile(L, src, name)
	}
	if err != nil {
		L.Error(lua.LString(err.Error()), 0)
	}
	top := L.GetTop()
	L.Push(fn)
	L.Call(0, lua.MultRet)
	return L.GetTop() - top
}

// findModule is how require finds a module: the templates of package.path, one after the
// other, with the name in the place of the question marks.
func (c compiler) findModule(L *lua.LState) int {
	name := strings.ReplaceAll(L.CheckString(1), ".", string(os.PathSeparator))
	path, ok := L.GetField(L.GetField(L.Get(lua.EnvironIndex), "package"), "path").(lua.LString)
	if !ok {
		L.RaiseError("package.path must be a string")
	}
	var tried strings.Builder
	for template := range strings.SplitSeq(string(path), ";") {
		file := strings.ReplaceAll(template, "?", name)
		if _, err := c.st.heap.files().Stat(file); err != nil {
			tried.WriteString("\n\tno file '" + file + "'")
			continue
		}
		src, err := c.read(file)
		var fn *lua.LFunction
		if err == nil {
			fn, err = c.compile(L, src, file)
		}
		if err != nil {
			L.RaiseError("error loading module '%s': %s", name, err.Error())
		}
		L.Push(fn)
		return 1
	}
	L.Push(lua.LString(tried.String()))
	return 1
}
