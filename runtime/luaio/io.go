package luaio

import (
	"io/fs"
	"os"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// modes are C's modes of opening a file. Without the b that says nothing here.
var modes = map[string]int{
	"r": os.O_RDONLY, "r+": os.O_RDWR,
	"w": os.O_WRONLY | os.O_CREATE | os.O_TRUNC, "w+": os.O_RDWR | os.O_CREATE | os.O_TRUNC,
	"a": os.O_WRONLY | os.O_CREATE | os.O_APPEND, "a+": os.O_RDWR | os.O_CREATE | os.O_APPEND,
}

// newFilePerm is what a file that is made may be used for, less the umask of the process.
const newFilePerm fs.FileMode = 0o666

// open is io.open(name, mode).
func (lib *library) open(L *lua.LState) int {
	name, mode := checkText(L, 1, "open"), L.OptString(2, "r")
	flag, known := modes[strings.Replace(mode, "b", "", 1)]
	if !known {
		argError(L, 2, "open", "invalid mode '"+mode+"'")
	}
	f, err := lib.OpenFile(name, flag, newFilePerm)
	if err != nil {
		return pushError(L, name, err)
	}
	L.Push(lib.wrap(L, &file{f: f}))
	return 1
}

// mustOpen opens a file for a function that raises errors.
func (lib *library) mustOpen(L *lua.LState, name, mode string) *file {
	f, err := lib.OpenFile(name, modes[mode], newFilePerm)
	if err != nil {
		pushError(L, name, err)
		L.RaiseError("%s", L.Get(-2).String())
	}
	return &file{f: f}
}

// tmpfile is io.tmpfile(): a file without a name.
func (lib *library) tmpfile(L *lua.LState) int {
	f, err := os.CreateTemp("", "lua_")
	if err != nil {
		return pushError(L, "", err)
	}
	os.Remove(f.Name())
	L.Push(lib.wrap(L, &file{f: f}))
	return 1
}

// fileType is io.type(value).
func (lib *library) fileType(L *lua.LState) int {
	v := lua.LValue(lua.LNil)
	if ud, ok := L.Get(1).(*lua.LUserData); ok {
		if f, ok := ud.Value.(*file); ok {
			v = lua.LString("file")
			if f.closed {
				v = lua.LString("closed file")
			}
		}
	}
	L.Push(v)
	return 1
}

// lines is io.lines(name).
func (lib *library) lines(L *lua.LState) int {
	if L.Get(1) == lua.LNil {
		return lib.pushLines(L, lib.defaultFile(L, defaultInput), false)
	}
	return lib.pushLines(L, lib.mustOpen(L, checkText(L, 1, "lines"), "r"), true)
}

func (lib *library) setInput(L *lua.LState) int  { return lib.setDefault(L, defaultInput, "r") }
func (lib *library) setOutput(L *lua.LState) int { return lib.setDefault(L, defaultOutput, "w") }

// setDefault is io.input or io.output: a file, the name of one, or nothing.
func (lib *library) setDefault(L *lua.LState, name, mode string) int {
	switch v := L.Get(1).(type) {
	case *lua.LNilType:
	case *lua.LUserData:
		lib.checkFile(L)
		lib.defaults.RawSetString(name, v)
	default:
		lib.defaults.RawSetString(name, lib.wrap(L, lib.mustOpen(L, checkText(L, 1, name), mode)))
	}
	L.Push(lib.defaults.RawGetString(name))
	return 1
}

// defaultFile is the file of io.read and io.write.
func (lib *library) defaultFile(L *lua.LState, name string) *file {
	f := lib.defaults.RawGetString(name).(*lua.LUserData).Value.(*file)
	if f.closed {
		L.RaiseError("the default file is closed")
	}
	return f
}

func (lib *library) read(L *lua.LState) int {
	return lib.readArgs(L, lib.defaultFile(L, defaultInput), 1)
}
func (lib *library) write(L *lua.LState) int {
	return lib.writeArgs(L, lib.defaultFile(L, defaultOutput), 1)
}
func (lib *library) flush(L *lua.LState) int {
	return fileFlush(L, lib, lib.defaultFile(L, defaultOutput))
}

// close is io.close(file); without one it is the default output.
func (lib *library) close(L *lua.LState) int {
	if L.GetTop() == 0 {
		return fileClose(L, lib, lib.defaultFile(L, defaultOutput))
	}
	return fileClose(L, lib, lib.checkOpen(L))
}
