package bindings

import (
	"strings"

	lua "github.com/yuin/gopher-lua"

	"luaserve/runtime"
)

// headersObject is the header of a request or a response.
var headersObject = &runtime.Object{
	Name: "headers",
	Doc:  "A list of header fields; order, duplicates and the case of names are kept, and names are compared without case. Fields are read and written like those of a table, unless they have the name of a method.",
	Methods: []runtime.Method{
		{Name: "get", Args: "name: string", Returns: "string", Doc: `Returns the values of all fields of this name, joined with ", "; "" when there is none.`, Run: headersGet, Leaf: true,
			Quick: headersQuickGet},
		{Name: "set", Args: "name: string, value: string|number|nil", Doc: "Replaces all fields of this name by one; nil removes them.", Run: headersSet, Leaf: true},
		{Name: "append", Args: "name: string, value: string|number", Doc: `Appends ", value" to the last field of this name, or adds one.`, Run: headersAdd((*runtime.Header).Append), Leaf: true},
		{Name: "insert", Args: "name: string, value: string|number", Doc: "Adds a field at the end.", Run: headersAdd((*runtime.Header).Insert), Leaf: true},
		{Name: "unset", Args: "name: string", Doc: "Removes all fields of this name.", Run: headersUnset, Leaf: true},
		{Name: "pairs", Returns: "function", Doc: "Iterates over all fields: for name, value in headers:pairs() do.", Run: headersPairs},
		{Name: "list", Args: "name: string", Returns: "function", Doc: "Iterates over all fields of this name.", Run: headersPairs},
		{Name: "clear", Doc: "Removes all fields.", Run: headersClear, Leaf: true},
	},
	Index: func(c *runtime.Call, self any, key lua.LValue) lua.LValue {
		if name, ok := textOf(key); ok {
			return c.Text(self.(*runtime.Header).Get(name))
		}
		return lua.LNil
	},
	NewIndex: func(c *runtime.Call, self any, key, value lua.LValue) {
		headersStore(c, self.(*runtime.Header), key, value)
	},
	Leaf: true,
}

// headersStore sets or removes fields. A value that is no text changes nothing.
func headersStore(c *runtime.Call, h *runtime.Header, key, value lua.LValue) {
	guardHeaders(c, h)
	name, ok := textOf(key)
	if !ok {
		return
	}
	if value == lua.LNil {
		h.Remove(name)
		return
	}
	if text, ok := textOf(value); ok {
		checkField(c, name, text)
		h.Set(name, text)
	}
}

// guardHeaders keeps an untrusted script from changing what the client has sent.
func guardHeaders(c *runtime.Call, h *runtime.Header) {
	if c.VR != nil && h == &c.VR.Request.Header {
		c.Guard("vr.req.headers")
	}
}

// checkField refuses what would break the head of a message.
func checkField(c *runtime.Call, name, value string) {
	if !runtime.ValidFieldName(name) {
		c.Errorf("%q is no header name", name)
	}
	if !runtime.ValidFieldValue(value) {
		c.Errorf("the value of the header %s has a line break or a NUL in it: %q", name, value)
	}
}

func headersGet(c *runtime.Call, self any) int {
	checkAny(c, 2)
	name, ok := textOf(c.L.Get(2))
	if !ok {
		return 0
	}
	return push(c, c.Text(self.(*runtime.Header).Get(name)))
}

func headersQuickGet(c *runtime.Call, self any, args []lua.LValue) (lua.LValue, bool) {
	if len(args) == 0 {
		return nil, false
	}
	name, ok := args[0].(lua.LString)
	if !ok {
		return nil, false
	}
	return c.Text(self.(*runtime.Header).Get(string(name))), true
}

func headersSet(c *runtime.Call, self any) int {
	checkAny(c, 3)
	headersStore(c, self.(*runtime.Header), c.L.Get(2), c.L.Get(3))
	return 0
}

func headersAdd(add func(h *runtime.Header, name, value string)) func(*runtime.Call, any) int {
	return func(c *runtime.Call, self any) int {
		checkAny(c, 3)
		name, isName := textOf(c.L.Get(2))
		text, isText := textOf(c.L.Get(3))
		if isName && isText {
			guardHeaders(c, self.(*runtime.Header))
			checkField(c, name, text)
			add(self.(*runtime.Header), name, text)
		}
		return 0
	}
}

func headersUnset(c *runtime.Call, self any) int {
	checkAny(c, 2)
	headersStore(c, self.(*runtime.Header), c.L.Get(2), lua.LNil)
	return 0
}

func headersClear(c *runtime.Call, self any) int {
	guardHeaders(c, self.(*runtime.Header))
	self.(*runtime.Header).Reset()
	return 0
}

// headersPairs iterates over all fields, or over those of one name. Fields that the loop
// adds come up too, and fields that it removes do not make it skip others.
func headersPairs(c *runtime.Call, _ any) int {
	// the object is kept, not the header: it is cut off when the request ends
	object := c.L.Get(1).(*lua.LUserData)
	all := c.L.GetTop() < 2
	wanted := ""
	if !all {
		wanted = checkString(c, 2)
	}
	var seen []string
	return push(c, c.Func(func(c *runtime.Call) int {
		h, ok := object.Value.(*runtime.Header)
		if !ok {
			c.Errorf("headers: this object belongs to a request that is over")
		}
		for i := skipSeen(h, seen); i < h.Len(); i++ {
			f := h.At(i)
			seen = append(seen, f.Name)
			if all || strings.EqualFold(f.Name, wanted) {
				return push(c, lua.LString(f.Name), lua.LString(f.Value))
			}
		}
		return push(c, lua.LNil)
	}))
}

// skipSeen returns the index of the first field that the loop has not seen. Fields keep
// their order and new ones come last, so those seen and not removed are at the front.
func skipSeen(h *runtime.Header, seen []string) int {
	i := 0
	for _, name := range seen {
		if i < h.Len() && h.At(i).Name == name {
			i++
		}
	}
	return i
}
