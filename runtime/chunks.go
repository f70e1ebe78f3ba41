package runtime

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// The library functions that compile Lua code, replaced by ones that compile it as scripts
// are compiled (see concat.go).

// compiler compiles chunks for a state.
type compiler struct{ prog *Program }

func openCompiler(L *lua.LState, prog *Program) {
	c := compiler{prog}
	for name, f := range map[string]lua.LGFunction{
		"loadstring": c.loadString, "load": c.load, "loadfile": c.loadFile, "dofile": c.doFile,
	} {
		L.G.Global.RawSetString(name, L.NewFunction(f))
	}
	const luaLoader = 2 // the second one of package.loaders looks for Lua files
	if loaders, ok := L.GetField(L.Get(lua.RegistryIndex), "_LOADERS").(*lua.LTable); ok {
		loaders.RawSetInt(luaLoader, L.NewFunction(c.findModule))
	}
}

func (c compiler) compile(L *lua.LState, src, name string) (*lua.LFunction, error) {
	proto, err := compile([]byte(src), name, c.prog.concat)
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
		src.WriteString(string(text))
	}
}

func readChunk(name string) (string, error) {
	src, err := os.ReadFile(name)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return "", errors.New("cannot open " + name + ": " + err.Error())
	}
	return string(skipShebang(src)), nil
}

func (c compiler) loadFile(L *lua.LState) int {
	name := L.CheckString(1)
	src, err := readChunk(name)
	if err != nil {
		return pushError(L, err)
	}
	return c.push(L, src, name)
}

func (c compiler) doFile(L *lua.LState) int {
	name := L.CheckString(1)
	src, err := readChunk(name)
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
		if !exists(file) {
			tried.WriteString("\n\tno file '" + file + "'")
			continue
		}
		src, err := readChunk(file)
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
