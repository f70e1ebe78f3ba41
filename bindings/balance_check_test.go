package bindings

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Which checks make a backend go down and up: g is a good one, b a bad one, t one that takes
// too long. A capital letter is one that changes something.
func TestHealthCheckStreaks(t *testing.T) {
	for _, want := range []string{
		"gggggggg", "gbbgbbgb", "gbbBbbbb", "bbBgGgbb", "bbBgGbbB", "ttTgGbtB", "bbBgbgGg", "bbBgtgGg",
	} {
		synctest.Test(t, func(t *testing.T) {
			c := &healthCheck{interval: time.Minute, timeout: time.Second, rise: 2, fall: 3}
			ctx, stop := context.WithCancel(t.Context())
			got, began := "", time.Now()
			c.watch(ctx, func(ctx context.Context) error {
				if len(got) == len(want) {
					stop()
					return errors.New("stopped in the middle")
				}
				letter := want[len(got)] | 0x20
				got += string(letter)
				switch letter {
				case 'b':
					return errors.New("bad")
				case 't':
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			}, func(err error) {
				last := len(got) - 1
				if (err == nil) != (got[last] == 'g') {
					t.Errorf("told %v", err)
				}
				got = got[:last] + strings.ToUpper(got[last:])
			})
			if got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			slow := time.Duration(strings.Count(strings.ToLower(want), "t"))
			if took, should := time.Since(began), 8*time.Minute+slow*time.Second; took != should {
				t.Errorf("%s took %v, want %v", want, took, should)
			}
		})
	}
}
