package main

import "testing"

// A machine that is busy takes fewer samples than there are quarters.
func TestQuarter(t *testing.T) {
	value := func(s sample) float64 { return float64(s.Goroutines) }
	for n, want := range [][4]float64{{}, {1, 1, 1, 1}, {1, 1, 2, 2}, {1, 1, 2, 3}, {1, 2, 3, 4}} {
		r := &result{}
		for i := range n {
			r.Samples = append(r.Samples, sample{Goroutines: i + 1})
		}
		for q, w := range want {
			if got := r.quarter(q, value); got != w {
				t.Errorf("quarter %d of %d samples: got %g, want %g", q, n, got, w)
			}
		}
	}
}
