package bindings

import (
	"compress/gzip"
	"io"
	"strings"
	"sync"
	"testing"
)

func TestDebugShowConnections(t *testing.T) {
	inside, leave := make(chan struct{}), make(chan struct{})
	s := newGuard(t, `actions = { when(request.path:prefix "/hold", { hold() }), action.debug.show_connections() }`, nil, holdModule(inside, leave))
	var held sync.WaitGroup
	held.Go(func() { s.get("/hold?<b>") })
	<-inside
	page := s.get("/").Body.String()
	for _, want := range []string{"Requests in progress", `<a href="?con=1">GET /hold?&lt;b&gt;</a>`, `<a href="?con=2">GET /</a>`, "192.0.2.1:1234"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in the page\n%s", want, page)
		}
	}
	if strings.Contains(page, "Chosen") || strings.Contains(page, "Server status") {
		t.Error("there is more than the list")
	}
	if page := s.get("/?con=1&con=99&con=x").Body.String(); !strings.Contains(page, "Chosen") || strings.Count(page, "host host, plain, from 192.0.2.1:1234 to unix socket") != 1 {
		t.Errorf("request 1 is not shown in full\n%s", page)
	}
	close(leave)
	held.Wait()
	if page := s.get("/").Body.String(); strings.Contains(page, "/hold") {
		t.Error("a request that is over is still there")
	}
}

func TestDebugEventsAndProfile(t *testing.T) {
	s := newGuard(t, `setup.debug.show_events_after_shutdown(5)
setup.debug.show_events_after_shutdown(5, 15)
actions = { when(request.path:eq "/events", action.debug.show_events(), action.debug.profiler_dump()) }`, nil)
	if body := s.get("/events").Body.String(); !strings.Contains(body, " goroutines\n\ngoroutine ") || !strings.Contains(body, "newShowEvents") {
		t.Errorf("no stacks: %.200s", body)
	}
	w := s.get("/heap")
	z, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(z); err != nil || len(data) == 0 {
		t.Errorf("the profile: %d bytes, %v", len(data), err)
	}
	for _, tt := range []struct{ script, want string }{
		{`setup.debug.show_events_after_shutdown(-1)`, "timeout: expected a number of seconds, got -1"},
		{`setup.debug.show_events_after_shutdown(1, -2)`, "repeat: expected a number of seconds, got -2"},
		{`actions = action.debug.show_events(1)`, "expected debug.show_events(), got 1 arguments"},
	} {
		_, err := loadGuard(t, tt.script+"\nactions = actions or respond 'x'", nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.script, err, tt.want)
		}
	}
}
