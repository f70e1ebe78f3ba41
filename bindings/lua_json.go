package bindings

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"

	"luaserve/runtime"
)

// maxJSONDepth bounds how deep tables may be nested.
const maxJSONDepth = 128

// nullObject is the kind of lighty.null.
var nullObject = &runtime.Object{Name: "null", Doc: "JSON's null, see lighty.null."}

// Both values below exist once in each Lua state. They live in its registry, which a
// forked state gets a copy of together with all that refers to it.
const (
	registryNull  = "luaserve json null"
	registryArray = "luaserve json array"
)

// jsonNull returns the value that stands for null.
func jsonNull(c *runtime.Call) lua.LValue {
	registry := c.L.G.Registry
	v := registry.RawGetString(registryNull)
	if v == lua.LNil {
		v = c.Value(nullObject, registryNull)
		registry.RawSetString(registryNull, v)
	}
	return v
}

// arrayMark returns the metatable of tables that are arrays even when they are empty.
func arrayMark(c *runtime.Call) lua.LValue {
	registry := c.L.G.Registry
	v := registry.RawGetString(registryArray)
	if v == lua.LNil {
		v = c.L.NewTable()
		registry.RawSetString(registryArray, v)
	}
	return v
}

func jsonArray(c *runtime.Call, _ any) int {
	var t *lua.LTable
	switch v := c.L.Get(1).(type) {
	case *lua.LNilType:
		t = c.L.NewTable()
	case *lua.LTable:
		t = v
	default:
		typeError(c, 1, "table")
	}
	if mark := arrayMark(c); t.Metatable == lua.LNil || t.Metatable == mark {
		t.Metatable = mark
		return push(c, t)
	}
	c.Errorf("lighty.json_array: the table has a metatable of its own")
	return 0
}

func jsonEncode(c *runtime.Call, _ any) int {
	checkAny(c, 1)
	e := jsonEncoder{c: c, null: jsonNull(c), mark: arrayMark(c)}
	if err := e.value(c.L.Get(1)); err != nil {
		c.Errorf("lighty.json_encode: %s", err)
	}
	return push(c, lua.LString(e.out))
}

type jsonEncoder struct {
	c          *runtime.Call
	null, mark lua.LValue
	out        []byte
	open       []*lua.LTable // tables that the current value is in
	path       []string      // how a script reaches it: .items, [2]
}

func (e *jsonEncoder) errorf(format string, args ...any) error {
	return fmt.Errorf("value%s: %s", strings.Join(e.path, ""), fmt.Sprintf(format, args...))
}

// value appends a value. A table that others refer to is written out for each of them, so that
// a few tables can be a text without end: its length and the time are looked at.
func (e *jsonEncoder) value(v lua.LValue) error {
	e.c.CheckTime()
	if limit := e.c.MaxString(); len(e.out) > limit {
		return e.errorf("the text has more than %d bytes", limit)
	}
	switch v := v.(type) {
	case *lua.LNilType:
		e.out = append(e.out, "null"...)
	case lua.LBool:
		e.out = strconv.AppendBool(e.out, bool(v))
	case lua.LNumber:
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return e.errorf("%v has no form in JSON", float64(v))
		}
		text, err := json.Marshal(float64(v))
		e.out = append(e.out, text...)
		return err
	case lua.LString:
		return e.text(string(v))
	case *lua.LTable:
		return e.table(v)
	default:
		if v != e.null {
			return e.errorf("a %s has no form in JSON", v.Type())
		}
		e.out = append(e.out, "null"...)
	}
	return nil
}

func (e *jsonEncoder) text(s string) error {
	if !utf8.ValidString(s) {
		return e.errorf("the string is not UTF-8; base64_encode takes any bytes")
	}
	text, err := json.Marshal(s)
	e.out = append(e.out, text...)
	return err
}

func (e *jsonEncoder) table(t *lua.LTable) error {
	if slices.Contains(e.open, t) {
		return e.errorf("the table contains itself")
	}
	if len(e.open) == maxJSONDepth {
		return e.errorf("more than %d tables in each other", maxJSONDepth)
	}
	e.open = append(e.open, t)
	defer func() { e.open = e.open[:len(e.open)-1] }()
	names, entries, last := []string(nil), 0, 0
	t.ForEach(func(k, _ lua.LValue) {
		entries++
		switch k := k.(type) {
		case lua.LString:
			names = append(names, string(k))
		case lua.LNumber:
			if k < 1 || k != lua.LNumber(int(k)) {
				k = math.MaxInt32
			}
			last = max(last, int(k))
		}
	})
	switch {
	case entries == 0 && t.Metatable == e.mark:
		e.out = append(e.out, "[]"...)
		return nil
	case len(names) == entries:
		return e.object(t, names)
	case last == entries && len(names) == 0:
		return e.array(t, last)
	}
	return e.errorf("the table is neither a list with the keys 1 to n nor a table with strings as keys")
}

func (e *jsonEncoder) object(t *lua.LTable, names []string) error {
	slices.Sort(names)
	e.out = append(e.out, '{')
	for i, name := range names {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		if err := e.text(name); err != nil {
			return err
		}
		e.out = append(e.out, ':')
		if err := e.entry("."+name, t.RawGetString(name)); err != nil {
			return err
		}
	}
	e.out = append(e.out, '}')
	return nil
}

func (e *jsonEncoder) array(t *lua.LTable, n int) error {
	e.out = append(e.out, '[')
	for i := 1; i <= n; i++ {
		if i > 1 {
			e.out = append(e.out, ',')
		}
		if err := e.entry("["+strconv.Itoa(i)+"]", t.RawGetInt(i)); err != nil {
			return err
		}
	}
	e.out = append(e.out, ']')
	return nil
}

func (e *jsonEncoder) entry(step string, v lua.LValue) error {
	e.path = append(e.path, step)
	err := e.value(v)
	e.path = e.path[:len(e.path)-1]
	return err
}

func jsonDecode(c *runtime.Call, _ any) int {
	d := jsonDecoder{c: c, in: json.NewDecoder(strings.NewReader(checkString(c, 1)))}
	v, err := d.value(0)
	if err == nil {
		if _, behind := d.in.Token(); !errors.Is(behind, io.EOF) {
			err = errors.New("there is more behind the value")
		}
	}
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("the text ends too early")
		}
		return push(c, lua.LNil, lua.LString(fmt.Sprintf("json_decode: %s (byte %d)", err, d.in.InputOffset())))
	}
	return push(c, v)
}

type jsonDecoder struct {
	c  *runtime.Call
	in *json.Decoder
}

func (d *jsonDecoder) value(depth int) (lua.LValue, error) {
	d.c.CheckTime()
	token, err := d.in.Token()
	if err != nil {
		return nil, err
	}
	switch v := token.(type) {
	case bool:
		return lua.LBool(v), nil
	case float64:
		return lua.LNumber(v), nil
	case string:
		return lua.LString(v), nil
	case json.Delim:
		if depth == maxJSONDepth {
			return nil, fmt.Errorf("more than %d arrays and objects in each other", maxJSONDepth)
		}
		if v == '[' {
			return d.array(depth + 1)
		}
		return d.object(depth + 1)
	}
	return jsonNull(d.c), nil
}

func (d *jsonDecoder) array(depth int) (lua.LValue, error) {
	t := d.c.L.NewTable()
	for i := 1; d.in.More(); i++ {
		v, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		t.RawSetInt(i, v)
	}
	if t.Len() == 0 {
		t.Metatable = arrayMark(d.c)
	}
	_, err := d.in.Token() // the bracket
	return t, err
}

func (d *jsonDecoder) object(depth int) (lua.LValue, error) {
	t := d.c.L.NewTable()
	for d.in.More() {
		key, err := d.in.Token()
		if err != nil {
			return nil, err
		}
		v, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		t.RawSetString(key.(string), v)
	}
	_, err := d.in.Token() // the brace
	return t, err
}
