package bindings

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"

	lua "github.com/yuin/gopher-lua"

	"luaserve/runtime"
	"luaserve/runtime/luaio"
)

// chunkQueueObject is a body: vr["in"], vr.out and the two sides of a filter.
var chunkQueueObject = newChunkQueueObject()

func newChunkQueueObject() *runtime.Object {
	o := &runtime.Object{
		Name: "chunkqueue",
		Doc:  "A queue of pieces of a body: bytes, files, and streams that are still coming. #queue is the number of bytes in it once all of it has come.",
		Fields: []runtime.Attribute{
			{Name: "is_closed", Type: "boolean", Doc: "Whether nothing will be added any more.", Leaf: true,
				Get: func(_ *runtime.Call, self any) lua.LValue {
					return lua.LBool(self.(*runtime.ChunkQueue).IsClosed())
				},
				Set: func(c *runtime.Call, self any, value lua.LValue) {
					guardQueue(c, self)
					self.(*runtime.ChunkQueue).SetClosed(truth(value))
				}},
		},
		Methods: []runtime.Method{
			{Name: "add", Args: "data: string|number|table", Doc: "Appends a string or a number; or a file that must be below a directory, add { filename = file, root = directory }.", Run: queueAdd, Leaf: true,
				Quick: queueQuickAdd},
			{Name: "add_file", Args: "filename: string, [start: integer], [length: integer]", Doc: "Appends a file, or a part of it in bytes.",
				Run: func(c *runtime.Call, self any) int { return queueAddFile(c, self, false) }},
			{Name: "add_temp_file", Args: "filename: string, [start: integer], [length: integer]", Doc: "Appends a file, or a part of it, and deletes it.",
				Run: func(c *runtime.Call, self any) int { return queueAddFile(c, self, true) }},
			{Name: "reset", Doc: "Drops everything that is in the queue, also what is still to come of a backend's response.", Run: queueReset},
			{Name: "skip_all", Doc: "Does the same as reset.", Run: queueReset},
			{Name: "read", Args: "[n: integer]", Returns: "string|nil", Doc: `Takes n bytes from the front, waiting for them, and returns them; fewer at the end, nil behind it. Without n it takes everything and returns "" when there is nothing.`, Run: queueRead},
		},
		Len: queueLen,
	}
	o.Methods = append(o.Methods, runtime.Method{Name: "steal_all", Args: "from: chunkqueue", Quick: func(c *runtime.Call, self any, args []lua.LValue) (lua.LValue, bool) {
		if len(args) == 0 {
			return nil, false
		}
		from, ok := c.Behind(args[0], o)
		if ok {
			guardQueue(c, self)
			self.(*runtime.ChunkQueue).StealAll(from.(*runtime.ChunkQueue))
		}
		return nil, ok
	},
		Doc: "Takes over what another queue has at this moment. What is still to come, such as the request body or a backend's response, stays there.",
		Run: func(c *runtime.Call, self any) int {
			guardQueue(c, self)
			from, ok := c.Self(2, o)
			if !ok {
				c.Error("Expected source chunkqueue to steal from")
			}
			self.(*runtime.ChunkQueue).StealAll(from.(*runtime.ChunkQueue))
			return 0
		}})
	return o
}

// guardQueue keeps an untrusted script from changing what the client has sent.
func guardQueue(c *runtime.Call, self any) {
	if c.VR != nil && self == any(c.VR.In) {
		c.Guard("vr.in")
	}
}

func queueAdd(c *runtime.Call, self any) int {
	guardQueue(c, self)
	checkAny(c, 2)
	q := self.(*runtime.ChunkQueue)
	if t, ok := c.L.Get(2).(*lua.LTable); ok {
		name, isName := textOf(t.RawGetString("filename"))
		root, isRoot := textOf(t.RawGetString("root"))
		if isName && isRoot {
			addBelow(c, q, root, name)
			return 0
		}
	}
	text, ok := textOf(c.L.Get(2))
	if !ok {
		c.Error("chunkqueue add expects simple string")
	}
	q.AddString(text)
	return 0
}

func queueQuickAdd(c *runtime.Call, self any, args []lua.LValue) (lua.LValue, bool) {
	if len(args) == 0 {
		return nil, false
	}
	text, ok := args[0].(lua.LString)
	if !ok {
		return nil, false
	}
	guardQueue(c, self)
	self.(*runtime.ChunkQueue).AddString(string(text))
	return nil, true
}

// addBelow appends a file whose name comes from elsewhere: it must be below root.
func addBelow(c *runtime.Call, q *runtime.ChunkQueue, root, name string) {
	var f *os.File
	var size int64
	var err error
	blocking(c, func() {
		if f, err = openBelow(c.Files(), root, name); err == nil {
			f, size, err = regular(f)
		}
	})
	if err != nil {
		c.Errorf("chunkqueue:add couldn't open file: %s", err)
	}
	q.AddFile(f, 0, size)
}

// openBelow opens a file below a directory, both of which an untrusted script names.
func openBelow(files luaio.Options, root, name string) (*os.File, error) {
	if !files.Confined() {
		return runtime.OpenBelow(root, name)
	}
	full := filepath.Join(root, name)
	if rel, err := filepath.Rel(root, full); err != nil || !filepath.IsLocal(rel) {
		return nil, fmt.Errorf("%s: %w", name, runtime.ErrOutside)
	}
	return files.OpenFile(full, os.O_RDONLY, 0)
}

// regular closes what is no regular file.
func regular(f *os.File) (*os.File, int64, error) {
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", f.Name())
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func queueAddFile(c *runtime.Call, self any, temporary bool) int {
	guardQueue(c, self)
	checkAny(c, 2)
	name, ok := textOf(c.L.Get(2))
	if !ok {
		c.Error("chunkqueue:add expects filename as first parameter")
	}
	start, hasStart := partArgument(c, 3, "second")
	length, hasLength := partArgument(c, 4, "third")
	var f *os.File
	var size int64
	var err error
	blocking(c, func() {
		files := c.Files()
		if f, err = files.OpenFile(name, os.O_RDONLY, 0); err == nil {
			f, size, err = regular(f)
		}
		if err == nil && temporary {
			files.Remove(name) // what is open stays readable
		}
	})
	if errors.Is(err, luaio.ErrOutside) || errors.Is(err, luaio.ErrNoFiles) {
		c.Errorf("chunkqueue:add couldn't open file: %s", err)
	}
	if err != nil {
		c.Error("chunkqueue:add couldn't open file: " + name)
	}
	if !hasStart {
		start = 0
	}
	if !hasLength {
		length = float64(size) - start
	}
	if math.IsNaN(start) || math.IsNaN(length) || start < 0 || start >= float64(size) || length < 0 || start+length > float64(size) {
		f.Close()
		c.Error("chunkqueue:add: Invalid start/length values")
	}
	self.(*runtime.ChunkQueue).AddFile(f, int64(start), int64(length))
	return 0
}

// partArgument returns an optional number of add_file.
func partArgument(c *runtime.Call, n int, place string) (float64, bool) {
	if c.L.GetTop() < n {
		return 0, false
	}
	f, ok := numberOf(c.L.Get(n))
	if !ok {
		c.Error("chunkqueue:add expects number (or nothing) as " + place + " parameter")
	}
	return math.Trunc(f), true
}

func queueReset(c *runtime.Call, self any) int {
	guardQueue(c, self)
	self.(*runtime.ChunkQueue).Reset()
	return 0
}

func queueRead(c *runtime.Call, self any) int {
	q := self.(*runtime.ChunkQueue)
	limit := c.VR.Program().MaxBufferedBody()
	everything := c.L.Get(2) == lua.LNil
	want := limit + 1
	if !everything {
		n, ok := numberOf(c.L.Get(2))
		if !ok || n < 0 || n > float64(limit) {
			c.Errorf("chunkqueue:read expects a number of bytes from 0 to %d", limit)
		}
		want = int64(n)
	}
	var data []byte
	var err error
	blocking(c, func() { data, err = io.ReadAll(io.LimitReader(q, want)) })
	if err == nil && int64(len(data)) > limit {
		err = runtime.ErrBodyTooLarge
	}
	if err != nil {
		queueFail(c, q, err)
	}
	if len(data) == 0 && !everything {
		return push(c, lua.LNil)
	}
	return push(c, lua.LString(data))
}

func queueLen(c *runtime.Call, self any) int {
	q := self.(*runtime.ChunkQueue)
	limit := c.VR.Program().MaxBufferedBody()
	var n int64
	var err error
	blocking(c, func() { n, err = q.Measure(limit) })
	if err != nil {
		queueFail(c, q, err)
	}
	return int(n)
}

// queueFail raises an error of reading a queue. A request body that is too large is the
// client's fault.
func queueFail(c *runtime.Call, q *runtime.ChunkQueue, err error) {
	if errors.Is(err, runtime.ErrBodyTooLarge) {
		if q != c.VR.In {
			c.Errorf("the content of the chunkqueue is larger than %d bytes: read it piece by piece", c.VR.Program().MaxBufferedBody())
		}
		err = &runtime.StatusError{Status: http.StatusRequestEntityTooLarge, Err: err}
	}
	c.Fail(err)
}
