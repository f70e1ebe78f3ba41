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

// clock formats the Date field once a second.
type clock struct {
	cached atomic.Pointer[stamp]
}

type stamp struct {
	second int64
	text   string
}

// date is the Date field of an answer that is written now.
func (c *clock) date(now time.Time) string {
	if s := c.cached.Load(); s != nil && s.second == now.Unix() {
		return s.text
	}
	s := &stamp{now.Unix(), now.UTC().Format(http.TimeFormat)}
	c.cached.Store(s)
	return s.text
}
