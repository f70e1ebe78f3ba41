package http1

import (
	"net/http"
	"testing"
	"time"
)

// The Date field is that of the second in which it is asked for, however often that is.
func TestDateFollowsTheClock(t *testing.T) {
	var c clock
	texts := map[string]bool{}
	for begun := time.Now(); len(texts) < 2; {
		before := time.Now().Truncate(time.Second)
		text := c.date(now())
		after := time.Now()
		got, err := http.ParseTime(text)
		if err != nil || got.Before(before) || got.After(after) {
			t.Fatalf("Date: %q between %s and %s: %v", text, before, after, err)
		}
		if texts[text] = true; after.Sub(begun) > 20*time.Second {
			t.Fatal("the field does not change")
		}
	}
}
