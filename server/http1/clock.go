package http1

import (
	"net/http"
	"sync/atomic"
	"time"
)

// moment is a time in nanoseconds since the start of the program, or never.
type moment int64

const never moment = 0

var start = time.Now().Add(-time.Second) // so that no moment is never

// since returns the moment of a time; the zero time is never.
func since(t time.Time) moment {
	if t.IsZero() {
		return never
	}
	return max(moment(t.Sub(start)), 1)
}

// time is the opposite of since.
func (m moment) time() time.Time {
	if m == never {
		return time.Time{}
	}
	return start.Add(time.Duration(m))
}

// now is the present moment. It costs half of what time.Now does, which asks a second clock for
// the time of day.
func now() moment { return max(moment(time.Since(start)), 1) }

// clock formats the Date field once a second.
type clock struct {
	cached atomic.Pointer[stamp]
}

type stamp struct {
	until moment // the end of its second
	text  string
}

// date is the Date field of an answer that is written at a moment, which is now. When the time of day is set it
// follows within a second.
func (c *clock) date(at moment) string {
	if s := c.cached.Load(); s != nil && at < s.until {
		return s.text
	}
	today := time.Now()
	left := time.Second - time.Duration(today.Nanosecond())
	s := &stamp{since(today.Add(left)), today.UTC().Format(http.TimeFormat)}
	c.cached.Store(s)
	return s.text
}
