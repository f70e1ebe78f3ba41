package luafast

import (
	"unsafe"

	lua "github.com/yuin/gopher-lua"
)

// A value of gopher-lua is an interface, and one that is a string points to 16 bytes that say
// where its bytes are. Most strings that a handler reads are over with its call, so those
// that leaf functions and the operator .. make have these 16 bytes in memory that the next
// call uses again. What outlives the call is copied: see [Machine.keep], which everything goes
// through that leaves the registers for longer than a leaf function runs.

// texts is that memory.
type texts struct {
	used int
	list [maxTexts]lua.LString
}

// maxTexts is how many strings a call may have there; further ones take memory.
const maxTexts = 48

// add makes a value of s, nil when there is no room.
func (t *texts) add(s lua.LString) lua.LValue {
	if t.used == maxTexts {
		return nil
	}
	at := &t.list[t.used]
	*at = s
	t.used++
	return valueAt(at)
}

// keep returns a value that is equal to v and not in the memory of t.
func (t *texts) keep(v lua.LValue) lua.LValue {
	first, at := uintptr(unsafe.Pointer(&t.list)), uintptr(dataOf(&v))
	if at < first || at >= first+unsafe.Sizeof(t.list) {
		return v
	}
	fresh := new(lua.LString)
	*fresh = v.(lua.LString)
	return valueAt(fresh)
}

// reset ends the life of all strings in t.
func (t *texts) reset() {
	clear(t.list[:t.used])
	t.used = 0
}

// interfaceWords is how Go keeps an interface value that has methods.
type interfaceWords struct {
	table unsafe.Pointer
	data  unsafe.Pointer
}

func dataOf(v *lua.LValue) unsafe.Pointer { return (*interfaceWords)(unsafe.Pointer(v)).data }

// valueAt makes a value whose string stays where it is, which Go has no word for.
func valueAt(s *lua.LString) lua.LValue {
	var v lua.LValue = lua.LString("")
	(*interfaceWords)(unsafe.Pointer(&v)).data = unsafe.Pointer(s)
	return v
}
