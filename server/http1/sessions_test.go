package http1

import (
	"testing"

	"pgregory.net/rapid"
)

// Whichever sessions begin and end, the server knows those that there are.
func TestSessionsAreKnown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		srv := New(Config{})
		var open []*session
		t.Repeat(map[string]func(*rapid.T){
			"begin": func(t *rapid.T) {
				one := &session{srv: srv}
				if !srv.track(one) {
					t.Fatal("refused")
				}
				open = append(open, one)
			},
			"end": func(t *rapid.T) {
				if len(open) == 0 {
					return
				}
				i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
				srv.forget(open[i])
				open = append(open[:i], open[i+1:]...)
			},
			"": func(t *rapid.T) { // the last one that began is the first
				at := srv.sessions
				var before *session
				for i := len(open) - 1; i >= 0; i-- {
					if at != open[i] || at.previous != before {
						t.Fatalf("%d sessions: number %d is %p behind %p, want %p behind %p", len(open), i, at, at.previous, open[i], before)
					}
					before, at = at, at.next
				}
				if at != nil {
					t.Fatal("there are more")
				}
			},
		})
	})
}
