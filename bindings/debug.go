package bindings

import (
	"fmt"
	"net/http"
	"net/url"
	goruntime "runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"

	"luaserve/runtime"
)

func debugModule() *runtime.Module {
	return &runtime.Module{
		Name: "debug",
		Doc: "Looks into a running server. These pages are for those who run it: keep everybody else out with access.check. " +
			"Lua has a library called debug, so the actions are written with action. before their name.",
		Setups: []runtime.Setup{
			{Name: "debug.show_events_after_shutdown", Run: setupEventsAfterShutdown,
				Doc:      "Lists the event listeners that are left when the server ends. The times must not be negative.",
				NoEffect: "there are no event listeners that could keep the server alive; it says itself what it waits for",
				Example:  "setup.debug.show_events_after_shutdown(5, 15)",
				Params: []runtime.Param{
					{Name: "timeout", Type: runtime.TNumber, Doc: "seconds"},
					{Name: "repeat", Type: runtime.TNumber, Optional: true, Doc: "seconds"}}},
		},
		Actions: []runtime.ActionDef{
			{Name: "debug.show_connections", New: newShowConnections,
				Doc: "Answers with a page of the requests in progress, the oldest first; ?con=17 shows one in full, several are possible. " +
					"Connections that wait for their next request are not there.",
				Example: `actions = when(request.path:eq "/debug/connections", action.debug.show_connections())`},
			{Name: "debug.show_events", New: newShowEvents,
				Doc:     "Answers with the stacks of all goroutines as text: they are here what lighttpd2's event listeners are there.",
				Example: `actions = when(request.path:eq "/debug/events", action.debug.show_events())`},
			{Name: "debug.profiler_dump", New: newProfilerDump,
				Doc: "Answers with a profile of the memory in use, for go tool pprof. " +
					"It needs no preparation, and nothing is written to a file.",
				Example: `actions = when(request.path:eq "/debug/heap", action.debug.profiler_dump())`},
			debugExplainAction(),
		},
	}
}

func setupEventsAfterShutdown(_ *runtime.Builder, args runtime.Args) error {
	for i, name := range []string{"timeout", "repeat"} {
		if args.Float(i) < 0 {
			return fmt.Errorf("%s: expected a number of seconds, got %g", name, args.Float(i))
		}
	}
	return nil
}

func newShowConnections(b *runtime.Builder, _ runtime.Args) (runtime.Action, error) {
	active, css := inFlightOf(b), b.Option("status.css")
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		if !vr.HandleDirect() {
			return nil
		}
		query, _ := url.ParseQuery(vr.Request.URI.Query) // what cannot be read of it is not there
		page := statusPage{Active: active.list(), CSS: vr.Option(css).(string), Refresh: refreshSeconds(query.Get("refresh"))}
		for _, r := range page.Active {
			if slices.Contains(query["con"], strconv.FormatInt(r.ID, 10)) {
				page.Chosen = append(page.Chosen, r)
			}
		}
		body, err := page.render()
		if err != nil {
			return err
		}
		answerStatus(vr, "text/html; charset=utf-8", body)
		return nil
	}), nil
}

// maxStacks bounds the text of debug.show_events, in bytes: the world stands still
// while it is made.
const maxStacks = 1 << 20

func newShowEvents(*runtime.Builder, runtime.Args) (runtime.Action, error) {
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		if vr.HandleDirect() {
			buf := make([]byte, maxStacks)
			text := string(buf[:goruntime.Stack(buf, true)])
			if len(text) == maxStacks {
				text += "\n…\n"
			}
			answerStatus(vr, "text/plain; charset=utf-8", fmt.Sprintf("%d goroutines\n\n%s", goruntime.NumGoroutine(), text))
		}
		return nil
	}), nil
}

func newProfilerDump(*runtime.Builder, runtime.Args) (runtime.Action, error) {
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		if !vr.HandleDirect() {
			return nil
		}
		var b strings.Builder
		if err := pprof.Lookup("heap").WriteTo(&b, 0); err != nil {
			return runtime.Fail(http.StatusInternalServerError, "writing the profile: %w", err)
		}
		answerStatus(vr, "application/octet-stream", b.String())
		vr.Response.Header.Set("Content-Disposition", `attachment; filename="heap.pb.gz"`)
		return nil
	}), nil
}
