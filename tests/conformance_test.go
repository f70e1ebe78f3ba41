// Package tests runs whole sites over real sockets: the recorded conformance cases, the scenarios
// in testdata/scenarios, the matrix of what backends do wrong (TestFaults), and a real nginx behind
// proxy.
//
//	go test ./tests                                       everything
//	go test ./tests -run 'Conformance/vhost.*/' -v        areas or cases by name
//	go test ./tests -run Scenario -update                 writes the expected answers anew
//
// With LUASERVE_CONFORMANCE_CMD='luaserve run {config}' the cases run against that command instead
// of the server in this process; {port} {dir} {docroot} are replaced as well.
package tests

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"luaserve/tests/backend"
)

// pendingFile names the cases that are known not to pass yet.
const pendingFile = "testdata/conformance-pending.txt"

// TestConformance replays what was recorded from lighttpd2.
//
// Cases with a reason not to be compared still run: they must neither end the server nor hang.
func TestConformance(t *testing.T) {
	cases := loadCases(t)
	pending := loadPending(t, cases)
	b := startBackend(t)
	var r report
	t.Cleanup(func() { r.print(t) }) // runs when the parallel subtests are done
	for _, c := range cases {
		t.Run(c.Area+"/"+c.Name, func(t *testing.T) {
			t.Parallel()
			outcome := failed // also after a Fatal
			defer func() { r.add(c.Area, outcome) }()
			log := &logBuffer{}
			bad := runCase(t, c, b, log)
			switch {
			case len(bad) == 0 && pending[c.Name]:
				t.Errorf("passes: remove it from %s", pendingFile)
			case len(bad) == 0 && c.accepted() != "":
				outcome = accepted
				t.Logf("not compared: %s", c.accepted())
			case len(bad) == 0:
				outcome = passed
			case pending[c.Name]:
				outcome = stillPending
				t.Skipf("pending: %s", strings.Join(bad, "\n"))
			default:
				t.Errorf("%s", strings.Join(bad, "\n"))
				t.Logf("log of the server:\n%s", log)
			}
		})
	}
}

// runCase lists what is wrong with the answers to a case.
func runCase(t *testing.T, c *conformanceCase, b *backend.Backend, log *logBuffer) []string {
	s := newSite(t, b)
	if err := s.writeFiles(c); err != nil {
		t.Fatal(err)
	}
	compared := c.accepted() == ""
	stop, err := launch(t, s, c.Start == "fail", log)
	if err != nil {
		if errors.Is(err, errNotRefused) || compared && c.Start != "fail" {
			return []string{fmt.Sprintf("did not start: %v", err)}
		}
		return nil
	}
	var bad []string
	if compared && c.Start == "fail" {
		bad = append(bad, "the configuration must be refused, but the server runs")
	}
	for i := range c.Requests {
		rq := &c.Requests[i]
		time.Sleep(time.Duration(rq.DelayBefore * float64(time.Second)))
		got := s.exchange(rq)
		for name, header := range rq.Save {
			s.saved[name] = got[0].last(header)
		}
		var differences []string
		switch {
		case !compared:
			differences = hung(got)
		case rq.OracleBug == "" && rq.Accepted == "":
			differences = s.compare(rq, got)
		}
		for _, d := range differences {
			bad = append(bad, fmt.Sprintf("request %d: %s", i, d))
		}
	}
	time.Sleep(time.Duration(c.Settle * float64(time.Second)))
	if err := stop(); err != nil {
		bad = append(bad, err.Error())
	}
	return bad
}

// hung lists the answers that did not come or end in time.
func hung(got []*answer) []string {
	for _, a := range got {
		if a.timeout {
			return []string{"hangs: " + a.describe()}
		}
	}
	return nil
}

// loadPending reads the allow-list: a case name a line, "#" starts a comment. A missing file is
// an empty list.
func loadPending(t *testing.T, cases []*conformanceCase) map[string]bool {
	t.Helper()
	f, err := os.Open(pendingFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	pending := map[string]bool{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, _, _ := strings.Cut(lines.Text(), "#")
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if !slices.ContainsFunc(cases, func(c *conformanceCase) bool { return c.Name == name }) {
			t.Errorf("%s: there is no case %q", pendingFile, name)
		}
		pending[name] = true
	}
	return pending
}

// outcome of a case.
type outcome int

const (
	passed outcome = iota
	accepted
	stillPending
	failed
)

// tally counts cases by outcome.
type tally [failed + 1]int

// String is the summary; pending ones are only mentioned where there are some.
func (n *tally) String() string {
	out := fmt.Sprintf("%d passed, %d accepted with a reason, %d failed", n[passed], n[accepted], n[failed])
	if n[stillPending] > 0 {
		out += fmt.Sprintf(", %d pending", n[stillPending])
	}
	return out
}

// report counts the outcomes of all cases; they run in parallel.
type report struct {
	mu    sync.Mutex
	areas map[string]*tally
}

func (r *report) add(area string, o outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.areas == nil {
		r.areas = map[string]*tally{}
	}
	if r.areas[area] == nil {
		r.areas[area] = &tally{}
	}
	r.areas[area][o]++
}

func (r *report) print(t *testing.T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all tally
	for _, area := range slices.Sorted(maps.Keys(r.areas)) {
		n := r.areas[area]
		for o := range n {
			all[o] += n[o]
		}
		if testing.Verbose() {
			t.Logf("%-18s %v", area, n)
		}
	}
	t.Logf("conformance: %v", &all)
	fmt.Printf("conformance: %v\n", &all) // shown by go test even where a passing test's log is not
}
