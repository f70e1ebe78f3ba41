package bindings_test

import (
	"regexp"
	"strings"
	"testing"
)

// What the status shows of balancers: two on a line, one with a backend that is left out.
func TestStatusBalancers(t *testing.T) {
	site := luaScript(t, `local b, c = balance.sqf { backends = { { action = proxy "unix:@DIR@/x", name = "dead" }, respond "b" }, fails = 1, pause = 3600, max_pause = 3600 }, balance.rr(respond "c")
actions = { when(request.path:eq "/status", status.info()), when(request.path:eq "/short", status.info "short"), when(request.path:eq "/metrics", status.metrics()),
	when(request.path:eq "/c", c), b,
	function(vr) vr:enter_action(action.balance.rr(action.respond "made in a handler")) end }`)
	for range 3 {
		site.get("/")
	}
	site.get("/c")
	metrics := text(site.get("/metrics"))
	place := regexp.QuoteMeta(site.dir + "/site.lua:1")
	for name, want := range map[string]string{
		`luaserve_balance_waiting{balance="@"}`:                              "0",
		`luaserve_backend_up{balance="@",backend="dead"}`:                    "0",
		`luaserve_backend_failures_total{balance="@",backend="dead"}`:        "1",
		`luaserve_backend_requests_total{balance="@",backend="dead"}`:        "1",
		`luaserve_backend_up{balance="@",backend="respond @"}`:               "1",
		`luaserve_backend_requests_total{balance="@",backend="respond @"}`:   "3",
		`luaserve_backend_in_flight{balance="@",backend="respond @"}`:        "0",
		`luaserve_backend_requests_total{balance="@#2",backend="respond @"}`: "1",
		`luaserve_backend_failures_total{balance="@#2",backend="respond @"}`: "0",
	} {
		name = strings.ReplaceAll(name, "@", site.dir+"/site.lua:1")
		if !strings.Contains(metrics, name+" "+want+"\n") {
			t.Errorf("no %s %s in\n%s", name, want, metrics)
		}
	}
	if n := len(regexp.MustCompile(`luaserve_balance_waiting\{balance="`+place).FindAllString(metrics, -1)); n != 2 {
		t.Errorf("%d balancers:\n%s", n, metrics)
	}
	page := text(site.get("/status"))
	for _, want := range []string{"Backends of site.lua:1<", "Backends of site.lua:1#2<", "<th>dead</th><td>ejected</td>", "<td>up</td>"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in the page", want)
		}
	}
	if strings.Contains(text(site.get("/short")), "ejected") {
		t.Error("the short page shows backends")
	}
}
