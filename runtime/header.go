package runtime

import (
	"iter"
	"slices"
	"strings"
)

// Field is one header field, its name in the case in which it was written.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Header is an ordered list of header fields: order, duplicates and the case of names
// are kept; names are compared without case (RFC 9110, 5.1).
// The zero value is an empty list. It is not safe for concurrent use.
type Header struct {
	fields []Field
}

// Len returns the number of fields.
func (h *Header) Len() int { return len(h.fields) }

// At returns the field at index i, counted from 0.
func (h *Header) At(i int) Field { return h.fields[i] }

// All iterates over the fields in their order.
func (h *Header) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, f := range h.fields {
			if !yield(f.Name, f.Value) {
				return
			}
		}
	}
}

// Get returns the values of all fields called name, joined with ", " (RFC 9110, 5.3);
// "" when there is none.
func (h *Header) Get(name string) string {
	v, _ := h.Lookup(name)
	return v
}

// Lookup is Get, and whether there is such a field.
func (h *Header) Lookup(name string) (string, bool) {
	found, joined := false, ""
	for _, f := range h.fields {
		if !sameName(f.Name, name) {
			continue
		}
		if !found {
			joined, found = f.Value, true
		} else {
			joined += ", " + f.Value
		}
	}
	return joined, found
}

// Has reports whether there is a field called name.
func (h *Header) Has(name string) bool {
	return h.find(name) >= 0
}

// find returns the index of the first field called name, -1 when there is none.
func (h *Header) find(name string) int {
	for i := range h.fields {
		if sameName(h.fields[i].Name, name) {
			return i
		}
	}
	return -1
}

// Insert adds a field at the end.
func (h *Header) Insert(name, value string) {
	h.fields = append(h.fields, Field{name, value})
}

// Append adds ", value" to the last field called name, or inserts one.
func (h *Header) Append(name, value string) {
	for i := len(h.fields) - 1; i >= 0; i-- {
		if sameName(h.fields[i].Name, name) {
			h.fields[i].Value += ", " + value
			return
		}
	}
	h.Insert(name, value)
}

// Overwrite replaces the last field called name, or inserts one (lighttpd2,
// header.overwrite: fields before the last one stay).
func (h *Header) Overwrite(name, value string) {
	for i := len(h.fields) - 1; i >= 0; i-- {
		if sameName(h.fields[i].Name, name) {
			h.fields[i] = Field{name, value}
			return
		}
	}
	h.Insert(name, value)
}

// Set replaces every field called name with one.
func (h *Header) Set(name, value string) {
	h.Remove(name)
	h.Insert(name, value)
}

// Remove takes every field called name away and reports whether there was one.
func (h *Header) Remove(name string) bool {
	first := h.find(name)
	if first < 0 { // as it is nearly always: nothing is written then
		return false
	}
	kept := h.fields[:first]
	for _, f := range h.fields[first+1:] {
		if !sameName(f.Name, name) {
			kept = append(kept, f)
		}
	}
	clear(h.fields[len(kept):])
	h.fields = kept
	return true
}

// Reset takes all fields away.
func (h *Header) Reset() {
	clear(h.fields)
	h.fields = h.fields[:0]
}

// endToEnd are the options of a Connection field that name no header, and the fields that
// it cannot take away.
var endToEnd = []string{"close", "keep-alive", "upgrade", "te", "host", "content-length", "transfer-encoding", "connection"}

// dropNamedByConnection removes the fields that the Connection field says are for this
// connection only (RFC 9110, 7.6.1). It happens before a script sees the request: what the
// script sets later is not the client's to take away.
func (h *Header) dropNamedByConnection() {
	value, ok := h.Lookup("Connection")
	if !ok {
		return
	}
	for _, option := range strings.Split(value, ",") {
		option = strings.Trim(option, " \t")
		if !slices.ContainsFunc(endToEnd, func(s string) bool { return strings.EqualFold(s, option) }) {
			h.Remove(option)
		}
	}
}

func (h *Header) clone() Header { return Header{append([]Field(nil), h.fields...)} }

// sameName is nearly always asked for names that are written alike, or of different lengths.
func sameName(a, b string) bool { return len(a) == len(b) && (a == b || strings.EqualFold(a, b)) }

// ValidFieldName reports whether name is a token (RFC 9110, 5.6.2).
func ValidFieldName(name string) bool {
	if name == "" {
		return false
	}
	for i := range len(name) {
		if !tokenBytes[name[i]] {
			return false
		}
	}
	return true
}

// tokenBytes are the bytes of a token.
var tokenBytes = func() (set [256]bool) {
	for c := byte('!'); c < 0x7f; c++ {
		set[c] = strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) < 0
	}
	return set
}()

// ValidFieldValue reports whether value may be sent in a header: CR, LF and NUL would end
// the field or be cut by somebody on the way (RFC 9110, 5.5).
func ValidFieldValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' && (c == '\r' || c == '\n' || c == 0) {
			return false
		}
	}
	return true
}
