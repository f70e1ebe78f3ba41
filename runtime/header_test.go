package runtime

import (
	"reflect"
	"testing"
)

func TestHeaderKeepsOrderCaseAndDuplicates(t *testing.T) {
	var h Header
	h.Insert("X-A", "1")
	h.Insert("x-b", "2")
	h.Insert("x-a", "3")
	h.Append("X-A", "4")
	if got := h.Get("X-a"); got != "1, 3, 4" {
		t.Errorf("Get = %q", got)
	}
	h.Set("X-B", "5")
	if !h.Remove("X-a") || h.Remove("X-a") {
		t.Error("Remove must report whether there was one")
	}
	if want := []Field{{"X-B", "5"}}; !reflect.DeepEqual(h.fields, want) {
		t.Errorf("fields %v, want %v", h.fields, want)
	}
	if v, ok := h.Lookup("none"); v != "" || ok {
		t.Errorf("Lookup of a missing field = %q, %v", v, ok)
	}
}

func TestValidField(t *testing.T) {
	for name, want := range map[string]bool{"X-A": true, "x_y.z!": true, "": false, "a b": false, "a:": false, "ä": false, "a(": false} {
		if got := ValidFieldName(name); got != want {
			t.Errorf("ValidFieldName(%q) = %v", name, got)
		}
	}
	for value, want := range map[string]bool{"a": true, "": true, "a\r\nb": false, "a\nb": false, "a\x00": false} {
		if got := ValidFieldValue(value); got != want {
			t.Errorf("ValidFieldValue(%q) = %v", value, got)
		}
	}
}

func TestDropNamedByConnection(t *testing.T) {
	var h Header
	h.Insert("Connection", "close, X-Hop,Remote-User ,Host")
	h.Insert("Host", "a")
	h.Insert("x-hop", "1")
	h.Insert("Remote-User", "evil")
	h.Insert("X-Keep", "2")
	h.dropNamedByConnection()
	want := []Field{{"Connection", "close, X-Hop,Remote-User ,Host"}, {"Host", "a"}, {"X-Keep", "2"}}
	if !reflect.DeepEqual(h.fields, want) {
		t.Errorf("fields %v, want %v", h.fields, want)
	}
}
