package bindings

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"luaserve/runtime"
)

func statusModule() *runtime.Module {
	return &runtime.Module{
		Name: "status",
		Doc: "Shows what the server is doing: a page for people, numbers for programs. " +
			"Everything counts from when the script was loaded, and begins anew when it is loaded again. " +
			"Lengths are reckoned as HTTP/1.1 with the headers; a request body of unknown length is left out. " +
			"Nothing is counted unless a script has one of these actions. Do not show them to everybody.",
		Actions: []runtime.ActionDef{
			{Name: "status.info", New: newStatusInfo,
				Doc: "Answers with a page of requests, traffic, states, the backends of balancers and the requests in progress. " +
					"?format=plain gives the numbers as text, in lighttpd2's form: a connection is there a request in progress, and the states that a server without a state machine does not have are 0; " +
					"?mode=runtime tells of the process, ?refresh=5 has the browser come back every 5 seconds.",
				Example: `actions = when(request.path:eq "/server-status", { access.check { allow = { "127.0.0.0/8" } }, status.info() })`,
				Params:  []runtime.Param{{Name: "mode", Type: runtime.TString, Optional: true, Doc: `"short" leaves out the process, the backends and the requests in progress`}}},
			{Name: "status.metrics", New: newStatusMetrics,
				Doc:     "Answers with metrics for Prometheus in its text format.",
				Example: `actions = when(request.path:eq "/metrics", { access.check { allow = { "10.0.0.0/8" } }, status.metrics() })`},
		},
		Options: []runtime.Option{
			{Name: optionStatusVhost, Type: runtime.TString, Default: (*vhostCounts)(nil), Parse: parseStatusVhost,
				Doc:     `Names the vhost that the request is counted for in status.metrics, as the label "vhost" of requests and durations.`,
				Example: `actions = { when(request.host:eq "trac.example.net", { action.status.vhost "trac" }), when(request.path:eq "/metrics", { status.metrics() }), respond "ok" }`},
			{Name: "status.css", Type: runtime.TString, Default: "",
				Doc:     `URL of a style sheet for status.info in place of the built-in style; "" and lighttpd2's "blue" stand for that one, which follows the light or dark mode of the browser.`,
				Example: `setup.status.css "/style/status.css"`},
		},
	}
}

const optionStatusVhost = "status.vhost"

func parseStatusVhost(b *runtime.Builder, v runtime.Value) (any, error) {
	name, _ := v.Str()
	if name == "" {
		return nil, errors.New("the name is empty")
	}
	return statsOf(b).named(name)
}

func newStatusInfo(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	short := args.Has(0)
	if short && args.Str(0) != "short" {
		return nil, fmt.Errorf(`unknown mode %q; expected "short" or none`, args.Str(0))
	}
	stats, css := statsOf(b), b.Option("status.css")
	var active *inFlight
	if !short {
		active = inFlightOf(b)
	}
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		if !vr.HandleDirect() {
			return nil
		}
		query, _ := url.ParseQuery(vr.Request.URI.Query) // what cannot be read of it is not there
		snap := stats.snapshot(vr.Program())
		body, contentType := plainStatus(snap), "text/plain; charset=utf-8"
		if query.Get("format") != "plain" {
			page := statusPage{Snap: snap, Short: short, Runtime: !short && query.Get("mode") == "runtime",
				CSS: vr.Option(css).(string), Refresh: refreshSeconds(query.Get("refresh"))}
			if active != nil {
				page.Active = active.list()
			}
			contentType = "text/html; charset=utf-8"
			var err error
			if body, err = page.render(); err != nil {
				return err
			}
		}
		answerStatus(vr, contentType, body)
		return nil
	}), nil
}

func answerStatus(vr *runtime.VRequest, contentType, body string) {
	vr.Response.Status = http.StatusOK
	vr.Response.Header.Set("Content-Type", contentType)
	vr.Response.Header.Set("Cache-Control", "no-store")
	vr.Out.AddString(body)
}

func newStatusMetrics(b *runtime.Builder, _ runtime.Args) (runtime.Action, error) {
	stats := statsOf(b)
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		if vr.HandleDirect() {
			answerStatus(vr, "text/plain; version=0.0.4; charset=utf-8", metricsText(stats.snapshot(vr.Program())))
		}
		return nil
	}), nil
}

// plainStatus is lighttpd2's text form: its names, in its order.
func plainStatus(s *snapshot) string {
	up := max(int64(s.Uptime/time.Second), 1)
	perSecond := func(name string, of func(c counts) int64, over string) string {
		n := of(s.counts) / up
		if over != "" {
			n = int64(s.Recent(of))
		}
		return fmt.Sprintf("%s_avg%s: %d\n", name, over, n)
	}
	text := fmt.Sprintf("# Absolute Values\nuptime: %d\nmemory_usage: %d\nrequests_abs: %d\ntraffic_out_abs: %d\ntraffic_in_abs: %d\nconnections_abs: %d\n",
		up, s.Memory, s.Requests, s.Out, s.In, s.InFlight)
	for _, over := range []struct{ suffix, title string }{{"", "since start"}, {"_5sec", "5 seconds"}} {
		text += "\n# Average Values (" + over.title + ")\n" +
			perSecond("requests", counts.requests, over.suffix) +
			perSecond("traffic_out", counts.out, over.suffix) +
			perSecond("traffic_in", counts.in, over.suffix) +
			fmt.Sprintf("connections_avg%s: %d\n", over.suffix, s.InFlight)
	}
	text += fmt.Sprintf("\n# Connection States\nconnection_state_start: 0\nconnection_state_read_header: 0\nconnection_state_handle_request: %d\n"+
		"connection_state_write_response: 0\nconnection_state_keep_alive: 0\nconnection_state_upgraded: 0\n\n# Status Codes (since start)\n", s.InFlight)
	for class := 1; class <= 5; class++ {
		text += fmt.Sprintf("status_%dxx: %d\n", class, s.Classes[class])
	}
	return text
}
