package bindings

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"luaserve/bindings/balancer"
)

// The text format of Prometheus is written here by hand: a dozen numbers need neither a
// registry nor its ten further modules, protocol buffers among them. It is checked in the
// tests against the grammar of the format.

// metric writes the head of a metric.
func metric(b *strings.Builder, name, kind, help string) {
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

func metricsText(s *snapshot) string {
	var b strings.Builder
	single := func(name, kind, help string, value float64) {
		metric(&b, name, kind, help)
		b.WriteString(name + " " + strconv.FormatFloat(value, 'f', -1, 64) + "\n")
	}
	metric(&b, "luaserve_requests_total", "counter", "Requests that are over, by the class of their status.")
	for _, v := range s.Vhosts {
		for class, label := range []string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"} {
			fmt.Fprintf(&b, "luaserve_requests_total{%sclass=%q} %d\n", v.label(), label, v.classes[class].Load())
		}
	}
	single("luaserve_requests_in_flight", "gauge", "Requests in progress, this one included.", float64(s.InFlight))
	single("luaserve_response_bytes_total", "counter", "Bytes sent, reckoned as HTTP/1.1 with headers.", float64(s.Out))
	single("luaserve_request_bytes_total", "counter", "Bytes received, reckoned as HTTP/1.1 with headers.", float64(s.In))
	writeDurations(&b, s)
	writeBalancers(&b, s.Balancers)
	s.Pools.writeMetrics(&b)
	single("luaserve_start_time_seconds", "gauge", "When the script was loaded, in seconds since 1970.", float64(s.Started.UnixMilli())/1e3)
	single("luaserve_uptime_seconds", "gauge", "Time since the script was loaded.", float64(s.Uptime.Milliseconds())/1e3)
	single("luaserve_lua_states", "gauge", "Lua states of the script, 0 when no request calls Lua.", float64(s.States))
	waits, waited := s.Lua.Waits()
	single("luaserve_lua_calls_total", "counter", "Calls into Lua that have ended.", float64(s.Lua.Calls()))
	single("luaserve_lua_errors_total", "counter", "Calls into Lua that ended with an error.", float64(s.Lua.Errors()))
	single("luaserve_lua_seconds_total", "counter", "Time that Lua code ran, without what it waited for.", s.Lua.Ran().Seconds())
	single("luaserve_lua_state_waits_total", "counter", "Calls that waited for a Lua state in use.", float64(waits))
	single("luaserve_lua_state_wait_seconds_total", "counter", "Time that they waited.", waited.Seconds())
	single("go_goroutines", "gauge", "Goroutines of the process.", float64(s.Goroutines))
	single("go_memstats_heap_alloc_bytes", "gauge", "Bytes of objects on the heap.", float64(s.Heap))
	single("go_memstats_sys_bytes", "gauge", "Bytes that the process has from the operating system.", float64(s.Memory))
	return b.String()
}

// label tells the vhosts of a metric apart; requests without one have no such label.
func (c *vhostCounts) label() string {
	if c.name == "" {
		return ""
	}
	return "vhost=" + labelText(c.name) + ","
}

func writeDurations(b *strings.Builder, s *snapshot) {
	const name = "luaserve_request_duration_seconds"
	metric(b, name, "histogram", "How long requests took until their answer was sent.")
	for _, v := range s.Vhosts {
		var sum int64
		for i := range v.buckets {
			sum += v.buckets[i].Load()
			bound := "+Inf"
			if i < len(durationBounds) {
				bound = strconv.FormatFloat(durationBounds[i].Seconds(), 'f', -1, 64)
			}
			fmt.Fprintf(b, "%s_bucket{%sle=%q} %d\n", name, v.label(), bound, sum)
		}
		labels := ""
		if v.name != "" {
			labels = "{" + strings.TrimSuffix(v.label(), ",") + "}"
		}
		seconds := time.Duration(v.nanos.Load()).Seconds()
		fmt.Fprintf(b, "%s_sum%s %s\n%s_count%s %d\n", name, labels, strconv.FormatFloat(seconds, 'f', -1, 64), name, labels, sum)
	}
}

// writeBalancers writes what balancers know of their backends; nothing when there is none.
func writeBalancers(b *strings.Builder, all []balancerStatus) {
	if len(all) == 0 {
		return
	}
	metric(b, "luaserve_balance_waiting", "gauge", "Requests that wait for a backend.")
	for _, pool := range all {
		fmt.Fprintf(b, "luaserve_balance_waiting{balance=%s} %d\n", labelText(pool.Name), pool.Waiting)
	}
	perBackend := func(name, kind, help string, value func(balancer.BackendStatus) float64) {
		metric(b, name, kind, help)
		for _, pool := range all {
			for _, be := range pool.Backends {
				fmt.Fprintf(b, "%s{balance=%s,backend=%s} %s\n", name, labelText(pool.Name), labelText(be.Name), strconv.FormatFloat(value(be), 'f', -1, 64))
			}
		}
	}
	perBackend("luaserve_backend_up", "gauge", "Whether a backend gets requests: 1, or 0 when it is left out or down.", func(be balancer.BackendStatus) float64 {
		if be.State == balancer.Up {
			return 1
		}
		return 0
	})
	perBackend("luaserve_backend_in_flight", "gauge", "Requests in progress at a backend.", func(be balancer.BackendStatus) float64 { return float64(be.InFlight) })
	perBackend("luaserve_backend_requests_total", "counter", "Requests given to a backend, repeated ones again.", func(be balancer.BackendStatus) float64 { return float64(be.Requests) })
	perBackend("luaserve_backend_failures_total", "counter", "Requests that a backend did not answer.", func(be balancer.BackendStatus) float64 { return float64(be.Failed) })
	perBackend("luaserve_backend_latency_seconds", "gauge", "Recent average of the time to the first byte of an answer, 0 when it is not known.", func(be balancer.BackendStatus) float64 { return be.Latency.Seconds() })
}

// labelText is the value of a label in quotes.
func labelText(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
