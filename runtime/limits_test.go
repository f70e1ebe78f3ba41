package runtime

import (
	"testing"
	"time"
)

func TestPatience(t *testing.T) {
	l := &Limits{BodyTimeout: time.Minute, BodyRate: 100}
	var p Patience
	check := func(what string, want time.Duration) {
		t.Helper()
		if got := p.Left(l); got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	check("at the beginning", time.Minute)
	p.Spend(10*time.Second, 1)
	check("a byte in ten seconds", 50*time.Second)
	for range 5 {
		p.Spend(10*time.Second, 1)
	}
	check("and so on", 0)
	p.Spend(0, 2995)
	check("3,001 bytes in a minute", 30*time.Second)
	p.Spend(0, 1<<40)
	check("a terabyte at once", time.Minute)
	l.BodyRate = 0
	p = Patience{}
	p.Spend(time.Hour, 1)
	check("without a rate", time.Minute)
}
