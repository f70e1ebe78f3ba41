package luaio

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	"luaserve/runtime/luastring"
)

// file is an open file of a script.
type file struct {
	f        *os.File
	in       *bufio.Reader // made when it is first read
	standard bool          // stdin, stdout or stderr: not closed
	closed   bool
	ended    chan error // of a command: how it ended
}

// IsFile reports whether a Go value behind a Lua object is one of the library's files.
func IsFile(v any) bool {
	_, ok := v.(*file)
	return ok
}

// checkOpen returns the file that is the first argument.
func (lib *library) checkOpen(L *lua.LState) *file {
	f := lib.checkFile(L)
	if f.closed {
		L.RaiseError("attempt to use a closed file")
	}
	return f
}

func (lib *library) checkFile(L *lua.LState) *file {
	if ud, ok := L.Get(1).(*lua.LUserData); ok {
		if f, ok := ud.Value.(*file); ok {
			return f
		}
	}
	L.RaiseError("bad argument #1 (FILE* expected, got %s)", typeName(L, 1))
	return nil
}

func (lib *library) fileToString(L *lua.LState) int {
	f := lib.checkFile(L)
	text := "file (closed)"
	if !f.closed {
		text = fmt.Sprintf("file (%p)", f)
	}
	L.Push(lua.LString(text))
	return 1
}

// reader is what the file is read through. Reading waits for no longer than the context of
// the thread allows.
func (f *file) reader(L *lua.LState) *bufio.Reader {
	if f.in == nil {
		f.in = bufio.NewReader(f.f)
	}
	return f.in
}

// wait runs something that may wait for the other end of a pipe, and ends it when the time
// of the call is up. Files on a disk have no deadlines, and need none.
func (f *file) wait(L *lua.LState, do func()) {
	ctx := L.Context()
	if ctx == nil || ctx.Done() == nil {
		do()
		return
	}
	checkTime(L)
	if f.f.SetDeadline(time.Time{}) != nil {
		do()
		return
	}
	set := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		f.f.SetDeadline(time.Unix(1, 0))
		close(set)
	})
	do()
	if !stop() {
		<-set // not while the file is used the next time
	}
	checkTime(L)
}

func fileClose(L *lua.LState, _ *library, f *file) int {
	if f.standard {
		L.Push(lua.LNil)
		L.Push(lua.LString("cannot close standard file"))
		return 2
	}
	f.closed = true
	if f.ended == nil {
		return result(L, "", f.f.Close())
	}
	f.f.Close()
	status := waitStatus(<-f.ended)
	checkTime(L)
	L.Push(lua.LNumber(status))
	return 1
}

// fileFlush has nothing to do: writing goes to the system at once.
func fileFlush(L *lua.LState, _ *library, _ *file) int { return result(L, "", nil) }

func fileSetvbuf(L *lua.LState, _ *library, _ *file) int {
	if mode := checkText(L, 2, "setvbuf"); mode != "no" && mode != "full" && mode != "line" {
		argError(L, 2, "setvbuf", "invalid option '"+mode+"'")
	}
	return result(L, "", nil)
}

func fileSeek(L *lua.LState, _ *library, f *file) int {
	whence, known := map[string]int{"set": io.SeekStart, "cur": io.SeekCurrent, "end": io.SeekEnd}[L.OptString(2, "cur")]
	if !known {
		argError(L, 2, "seek", "invalid option '"+L.OptString(2, "cur")+"'")
	}
	offset := L.OptInt64(3, 0)
	if f.in != nil {
		if whence == io.SeekCurrent {
			offset -= int64(f.in.Buffered())
		}
		f.in = nil
	}
	pos, err := f.f.Seek(offset, whence)
	if err != nil {
		return pushError(L, "", err)
	}
	L.Push(lua.LNumber(pos))
	return 1
}

func fileWrite(L *lua.LState, lib *library, f *file) int { return lib.writeArgs(L, f, 2) }

// writeArgs writes the arguments from one on; numbers as tostring prints them.
func (lib *library) writeArgs(L *lua.LState, f *file, first int) int {
	if f.in != nil && f.in.Buffered() > 0 { // what was read ahead is given back
		f.f.Seek(-int64(f.in.Buffered()), io.SeekCurrent)
		f.in = nil
	}
	var err error
	for n := first; n <= L.GetTop() && err == nil; n++ {
		text := checkText(L, n, "write")
		f.wait(L, func() { _, err = io.WriteString(f.f, text) })
	}
	return result(L, "", err)
}

func textOf(v lua.LValue) (string, bool) {
	switch v := v.(type) {
	case lua.LString:
		return string(v), true
	case lua.LNumber:
		return luastring.FormatNumber(float64(v)), true
	}
	return "", false
}

func fileRead(L *lua.LState, lib *library, f *file) int { return lib.readArgs(L, f, 2) }

// readArgs reads what the arguments from one on ask for. The first that is not there is nil,
// and ends it.
func (lib *library) readArgs(L *lua.LState, f *file, first int) int {
	if f.f == os.Stdin {
		return pushError(L, "", errNoInput)
	}
	top := L.GetTop()
	if top < first {
		return lib.pushRead(L, f, func() (string, bool, error) { return lib.line(L, f) })
	}
	pushed := 0
	for n := first; n <= top; n++ {
		var read func() (string, bool, error)
		switch v := L.Get(n).(type) {
		case lua.LNumber:
			read = func() (string, bool, error) { return lib.bytes(L, f, float64(v)) }
		case lua.LString:
			switch {
			case strings.HasPrefix(string(v), "*n"):
				if lib.pushNumber(L, f) == lua.LNil {
					return pushed + 1
				}
				pushed++
				continue
			case strings.HasPrefix(string(v), "*l"):
				read = func() (string, bool, error) { return lib.line(L, f) }
			case strings.HasPrefix(string(v), "*a"):
				read = func() (string, bool, error) { return lib.all(L, f) }
			}
		}
		if read == nil {
			argError(L, n, "read", "invalid format")
		}
		before := L.GetTop()
		if got := lib.pushRead(L, f, read); got != 1 || L.Get(before+1) == lua.LNil {
			return pushed + got
		}
		pushed++
	}
	return pushed
}

// pushRead leaves what was read, nil at the end of the file, or the error.
func (lib *library) pushRead(L *lua.LState, f *file, read func() (string, bool, error)) int {
	text, ok, err := "", false, error(nil)
	f.wait(L, func() { text, ok, err = read() })
	switch {
	case errors.Is(err, errTooLong):
		L.RaiseError("resulting string too large")
	case err != nil:
		return pushError(L, "", err)
	case !ok:
		L.Push(lua.LNil)
		return 1
	}
	L.Push(lua.LString(text))
	return 1
}

// errNoInput is why standard input cannot be read: nothing could end the waiting for it.
var errNoInput = errors.New("a server does not read its standard input")

var errTooLong = errors.New("more than a string may hold")

// line reads a line without its end.
func (lib *library) line(L *lua.LState, f *file) (string, bool, error) {
	var long []byte
	for {
		piece, err := f.reader(L).ReadSlice('\n')
		switch {
		case err == nil:
			return string(append(long, piece[:len(piece)-1]...)), true, nil
		case errors.Is(err, io.EOF):
			long = append(long, piece...)
			return string(long), len(long) > 0, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", false, err
		}
		if long = append(long, piece...); len(long) > lib.MaxLen {
			return "", false, errTooLong
		}
		checkTime(L)
	}
}

// bytes reads n bytes, or what there is.
func (lib *library) bytes(L *lua.LState, f *file, n float64) (string, bool, error) {
	if n < 1 {
		_, err := f.reader(L).Peek(1)
		return "", err == nil, ignoreEOF(err)
	}
	if n > float64(lib.MaxLen) {
		return "", false, errTooLong
	}
	text, err := lib.upTo(L, f, int64(n))
	return text, text != "", err
}

// all reads the rest of the file; "" at its end.
func (lib *library) all(L *lua.LState, f *file) (string, bool, error) {
	text, err := lib.upTo(L, f, int64(lib.MaxLen)+1)
	if err == nil && len(text) > lib.MaxLen {
		err = errTooLong
	}
	return text, true, err
}

// piece is how much is read before the time is looked at.
const piece = 64 << 10

func (lib *library) upTo(L *lua.LState, f *file, n int64) (string, error) {
	var out strings.Builder
	for int64(out.Len()) < n {
		got, err := io.CopyN(&out, f.reader(L), min(piece, n-int64(out.Len())))
		if err != nil || got == 0 {
			return out.String(), ignoreEOF(err)
		}
		checkTime(L)
	}
	return out.String(), nil
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// maxNumber is how many characters a number may have.
const maxNumber = 200

// pushNumber reads a number and leaves it, nil when there is none.
func (lib *library) pushNumber(L *lua.LState, f *file) lua.LValue {
	var digits []byte
	f.wait(L, func() {
		in := f.reader(L)
		for len(digits) < maxNumber {
			b, err := in.ReadByte()
			if err != nil {
				return
			}
			if len(digits) == 0 && strings.IndexByte(" \t\r\n\v\f", b) >= 0 {
				continue
			}
			if strings.IndexByte("+-.0123456789abcdefABCDEFxXpPnN", b) < 0 {
				in.UnreadByte()
				return
			}
			digits = append(digits, b)
		}
	})
	v := lua.LValue(lua.LNil)
	if n, ok := luastring.ParseNumber(string(digits)); ok {
		v = lua.LNumber(n)
	}
	L.Push(v)
	return v
}

func fileLines(L *lua.LState, lib *library, f *file) int { return lib.pushLines(L, f, false) }

// pushLines leaves an iterator over the lines of a file.
func (lib *library) pushLines(L *lua.LState, f *file, closeAtEnd bool) int {
	L.Push(L.NewFunction(func(L *lua.LState) int {
		if f.closed {
			L.RaiseError("file is already closed")
		}
		L.SetTop(0)
		n := lib.readArgs(L, f, 1)
		if n != 1 {
			L.RaiseError("%s", L.Get(-2).String())
		}
		if L.Get(-1) == lua.LNil && closeAtEnd {
			f.closed = true
			f.f.Close()
		}
		return 1
	}))
	return 1
}
