package runtime

import (
	"fmt"
	"reflect"

	lua "github.com/yuin/gopher-lua"
)

// What a call leaves behind, in _G or in variables of the script, is not seen by the limit of
// the next one: a handler that keeps a little each time takes all memory in the end. Now and
// then, when the heap of the process has grown, the values that a state keeps are counted.

// retention is what is known about the values that a state keeps.
type retention struct {
	calls int
	heap  int64 // the size of the heap when they were counted last, or the smallest since
	err   error // they take too much: no call is made any more
}

// callsBetweenLooks is how many calls are made before the heap is looked at.
const callsBetweenLooks = 256

// look counts what the state keeps when there is reason to. The state is locked.
func (st *state) look() {
	limit := st.heap.prog.luaLimits.memory
	if st.kept.calls++; st.kept.calls%callsBetweenLooks != 0 || limit <= 0 {
		return
	}
	const share = 4
	if now := heapBytes(); now-st.kept.heap < limit/share {
		st.kept.heap = min(st.kept.heap, now)
		return
	} else {
		st.kept.heap = now
	}
	if st.retained(limit) <= limit {
		return
	}
	st.kept.err = fmt.Errorf("what the Lua state keeps from call to call (_G, and variables of the script) takes more than %d bytes: nothing is called in it until the script is loaded again", limit)
	st.heap.full.Store(true)
	st.heap.prog.log.Error("a Lua state is full", "error", st.kept.err)
}

// isFull reports whether one of the states keeps too much.
func (h *heap) isFull() bool { return h != nil && h.full.Load() }

// The sizes of values, in bytes, as gopher-lua keeps them.
const (
	sizeOfTable, sizeOfSlot, sizeOfEntry = 120, 16, 120
	sizeOfFunction, sizeOfData           = 80, 64
	sizeOfThread                         = 16 << 10
)

// retained estimates the memory that the state's own values take. It gives up above a limit.
func (st *state) retained(limit int64) int64 {
	w := &retainedWalk{mayRebuild: st.waiting == 0, seen: map[lua.LValue]bool{}, open: append([]lua.LValue{st.base, st.L.G.Registry}, st.roots...)}
	for w.size <= limit && len(w.open) > 0 {
		v := w.open[len(w.open)-1]
		w.open = w.open[:len(w.open)-1]
		w.count(v)
	}
	return w.size
}

type retainedWalk struct {
	size int64
	seen map[lua.LValue]bool
	open []lua.LValue // values that are still to be counted
	// mayRebuild says that no call is in the middle of a table.
	mayRebuild bool
}

// add counts a string at once, and what refers to others later, if it was not seen before.
func (w *retainedWalk) add(v lua.LValue) {
	switch v := v.(type) {
	case lua.LString:
		w.size += int64(len(v))
	case *lua.LTable, *lua.LFunction, *lua.LUserData, *lua.LState:
		if !w.seen[v] {
			w.seen[v] = true
			w.open = append(w.open, v)
		}
	}
}

func (w *retainedWalk) count(v lua.LValue) {
	switch v := v.(type) {
	case *lua.LTable:
		w.size += sizeOfTable
		w.countSlots(v)
		v.ForEach(func(key, value lua.LValue) {
			w.size += sizeOfSlot
			if _, isNumber := key.(lua.LNumber); !isNumber {
				w.size += sizeOfEntry
				w.add(key)
			}
			w.add(value)
		})
		w.add(v.Metatable)
	case *lua.LFunction:
		w.size += sizeOfFunction
		for _, u := range v.Upvalues {
			w.add(u.Value())
		}
	case *lua.LUserData:
		w.size += sizeOfData
		w.add(v.Metatable)
	case *lua.LState:
		w.size += sizeOfThread
	}
}

// leastDead is how many keys without a value a table may have whatever else is in it.
const leastDead = 1024

// countSlots looks for keys whose values were removed. gopher-lua never forgets them, so that a
// handler that puts ever new names into a table and takes them out again would fill the memory:
// a table of which most is such keys is made anew in its place.
func (w *retainedWalk) countSlots(t *lua.LTable) {
	keys := reflect.ValueOf(t).Elem().FieldByName("keys")
	if keys.Len() <= leastDead {
		return
	}
	live := 0
	t.ForEach(func(lua.LValue, lua.LValue) { live++ })
	dead := keys.Len() - live
	if dead <= live+leastDead {
		return
	}
	if w.mayRebuild {
		fresh := &lua.LTable{Metatable: lua.LNil}
		eachInOrder(t, fresh.RawSet)
		fresh.Metatable = t.Metatable
		*t = *fresh
		return
	}
	w.size += int64(dead) * sizeOfEntry
	for i := range keys.Len() {
		if key := keys.Index(i).Elem(); key.Kind() == reflect.String {
			w.size += int64(key.Len())
		}
	}
}
