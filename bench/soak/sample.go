package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// sample is what the process needed at a moment, and what clients saw since the one before.
type sample struct {
	At          time.Duration // since the load began
	Resident    int64         // bytes
	Heap        int64         // bytes of objects
	Goroutines  int
	Descriptors int
	Requests    int // that were answered and timed
	P50, P99    time.Duration
}

// look reads /proc and asks the server. The connection that asks counts as a descriptor and a
// goroutine.
func (s *site) look() (sample, error) {
	var now sample
	text, err := s.metrics()
	if err != nil {
		return now, err
	}
	goroutines, err1 := metric(text, "go_goroutines ")
	heap, err2 := metric(text, "go_memstats_heap_alloc_bytes ")
	proc := fmt.Sprintf("/proc/%d/", s.server.Process.Pid)
	status, err3 := os.ReadFile(proc + "status")
	fds, err4 := os.ReadDir(proc + "fd")
	resident, err5 := metric(string(status), "VmRSS:")
	now.Goroutines, now.Heap, now.Descriptors, now.Resident = int(goroutines), heap, len(fds), resident<<10
	return now, errors.Join(err1, err2, err3, err4, err5)
}

func (s *site) metrics() (string, error) {
	resp, err := statusClient.Get("http://" + s.plain + "/status")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

// metric returns the number on the line that begins with a name.
func metric(text, name string) (int64, error) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name); ok {
			return strconv.ParseInt(strings.Fields(value)[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("expected a line %q", name)
}

// sample adds one.
func (r *result) sample(s *site, l *load) error {
	now, err := s.look()
	if err != nil {
		return err
	}
	now.At = time.Since(r.Began)
	now.P50, now.P99, now.Requests = l.percentiles()
	r.Samples = append(r.Samples, now)
	return nil
}
