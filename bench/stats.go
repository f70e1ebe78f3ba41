package main

import (
	"slices"
	"time"
)

// sample is one measurement.
type sample struct {
	Requests int
	Seconds  float64
	User     float64 // µs of processor time for a request, outside of the kernel
	System   float64 // the same, inside
	P99      float64 // ms
}

// newSample divides what was spent among the requests.
func newSample(l load, user, system time.Duration) sample {
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(l.requests) }
	return sample{Requests: l.requests, Seconds: l.elapsed.Seconds(),
		User: each(user), System: each(system), P99: float64(l.p99.Microseconds()) / 1000}
}

func (s sample) cpu() float64  { return s.User + s.System }
func (s sample) rate() float64 { return float64(s.Requests) / s.Seconds }

// result is what the rounds of one workload on one server gave.
type result struct {
	Workload string
	Server   string
	Samples  []sample `json:",omitempty"`
	PeakRSS  int64    `json:",omitempty"` // bytes
	Missing  string   `json:",omitempty"` // why there are no samples: the server cannot do it
}

// spread is the middle of several values, and how far they lie apart.
type spread struct{ Median, Min, Max float64 }

// spreadOf needs at least one value.
func spreadOf(samples []sample, value func(sample) float64) spread {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = value(s)
	}
	slices.Sort(values)
	n := len(values)
	return spread{Median: (values[(n-1)/2] + values[n/2]) / 2, Min: values[0], Max: values[n-1]}
}

func (r result) cpu() spread  { return spreadOf(r.Samples, sample.cpu) }
func (r result) user() spread { return spreadOf(r.Samples, func(s sample) float64 { return s.User }) }
func (r result) system() spread {
	return spreadOf(r.Samples, func(s sample) float64 { return s.System })
}
func (r result) rate() spread { return spreadOf(r.Samples, sample.rate) }
func (r result) p99() spread  { return spreadOf(r.Samples, func(s sample) float64 { return s.P99 }) }
