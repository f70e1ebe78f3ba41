package main

import (
	"strings"
	"testing"
	"time"
)

const wrkOutput = `Running 2s test @ http://127.0.0.1:8080/
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   635.86us  0.89ms  12.92ms   93.69%
    Req/Sec    56.20k     8.07k   62.00k    86.67%
  Latency Distribution
     50%  250.00us
     75%  491.00us
     90%  700.00us
     99%    5.80ms
  223464 requests in 2.01s, 79.12MB read
Requests/sec: 111100.10
Transfer/sec:     39.33MB
`

func TestParseWrk(t *testing.T) {
	want := load{requests: 223464, elapsed: 2010 * time.Millisecond, p99: 5800 * time.Microsecond}
	if l, err := parseWrk(wrkOutput); err != nil || l != want {
		t.Errorf("got %+v, %v, expected %+v", l, err, want)
	}
	change := strings.NewReplacer
	want.p99 = 1200 * time.Millisecond
	if l, err := parseWrk(change("5.80ms", "1.20s ").Replace(wrkOutput)); err != nil || l != want {
		t.Errorf("a unit of one letter, padded: got %+v, %v, expected %+v", l, err, want)
	}
	for name, text := range map[string]string{
		"Socket errors: connect 0, read 1, write 0, timeout 3": change("Requests/sec", "  Socket errors: connect 0, read 1, write 0, timeout 3\nRequests/sec").Replace(wrkOutput),
		"Non-2xx or 3xx responses: 7":                          change("Requests/sec", "  Non-2xx or 3xx responses: 7\nRequests/sec").Replace(wrkOutput),
		"no request was answered":                              change("223464 requests", "0 requests").Replace(wrkOutput),
		"expected a number of requests and the latency of 99%": change("     99%    5.80ms\n", "").Replace(wrkOutput),
		"got \"unable to connect":                              "unable to connect to 127.0.0.1:1 Connection refused\n",
		"out of range":                                         change("223464", "22346422346422346422").Replace(wrkOutput),
	} {
		if _, err := parseWrk(text); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got error %v, expected %q", err, name)
		}
	}
}
