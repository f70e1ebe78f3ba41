package tests

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// compare lists what differs between the recorded answers and those to rq.
func (s *site) compare(rq *request, got []*answer) []string {
	var bad []string
	for i, e := range rq.Expect.each {
		if i == len(got) {
			bad = append(bad, fmt.Sprintf("%d answers, expected %d", len(got), len(rq.Expect.each)))
			break
		}
		bad = append(bad, s.compareOne(rq, &e, got[i])...)
	}
	return bad
}

func (s *site) compareOne(rq *request, e *expectation, a *answer) []string {
	switch {
	case e.NoResponse:
		// lighttpd2 closes the connection without a word where a script or a backend failed; an
		// answer that says so is better
		if a.noResponse || a.status >= 400 {
			return nil
		}
		return []string{"expected no response or an error, got " + a.describe()}
	case e.Timeout && e.Status == 0:
		if a.timeout {
			return nil
		}
		return []string{"expected no answer (hang), got " + a.describe()}
	case e.Partial != nil:
		if a.status == 0 && a.partial == *e.Partial {
			return nil
		}
		return []string{"expected partial data, got " + a.describe()}
	case a.status == 0 || a.malformed != "":
		return []string{fmt.Sprintf("%s, expected status %d", a.describe(), e.Status)}
	}
	var bad []string
	differ := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	if a.status != e.Status {
		differ("status %d, expected %d", a.status, e.Status)
	}
	if a.version != e.Version {
		differ("version %s, expected %s", a.version, e.Version)
	}
	if e.Reason != nil && a.reason != *e.Reason {
		differ("reason %q, expected %q", a.reason, *e.Reason)
	}
	if !slices.Equal(a.interim, e.Interim) {
		differ("interim %v, expected %v", a.interim, e.Interim)
	}
	bad = append(bad, s.compareHeaders(e, a)...)
	if e.Closed != nil && (a.closed == nil || *a.closed != *e.Closed) {
		differ("expected closed by the server: %v", *e.Closed)
	}
	if a.truncated != e.Truncated {
		differ("truncated body: %v, expected %v", a.truncated, e.Truncated)
	}
	if a.timeout && !e.Timeout {
		differ("body timeout")
	}
	return append(bad, s.compareBody(rq, e, a)...)
}

func (s *site) compareHeaders(e *expectation, a *answer) []string {
	var bad []string
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		var want []string
		for _, v := range e.Headers[name] {
			want = append(want, s.expand(v))
		}
		if got := a.values(name); !slices.Equal(got, want) {
			bad = append(bad, fmt.Sprintf("header %s: %q, expected %q", name, got, want))
		}
	}
	for _, name := range e.AbsentHeaders {
		if got := a.values(name); got != nil {
			bad = append(bad, fmt.Sprintf("header %s must be absent, is %q", name, got))
		}
	}
	if e.ExpiresMinusDate != nil {
		got, err := expiresMinusDate(a)
		if err != nil || got < *e.ExpiresMinusDate-1 || got > *e.ExpiresMinusDate+1 {
			bad = append(bad, fmt.Sprintf("Expires - Date = %d (%v), expected %d", got, err, *e.ExpiresMinusDate))
		}
	}
	return bad
}

func expiresMinusDate(a *answer) (seconds int, err error) {
	first := func(name string) string { return append(a.values(name), "")[0] }
	expires, err := http.ParseTime(first("Expires"))
	if err != nil {
		return 0, err
	}
	date, err := http.ParseTime(first("Date"))
	return int(expires.Sub(date).Seconds()), err
}

func (s *site) compareBody(rq *request, e *expectation, a *answer) []string {
	got := string(a.body)
	switch {
	case e.Body != nil:
		want := s.expand(*e.Body)
		if rq.UnorderedLines { // sorted with the placeholders in them when recorded
			got, want = sortedLines(s.unexpand(got)), *e.Body
		}
		if got != want {
			return []string{fmt.Sprintf("body %q, expected %q", cut(got), cut(want))}
		}
	case e.BodySHA256 != "":
		if sum := sha256.Sum256(a.body); hex.EncodeToString(sum[:]) != e.BodySHA256 {
			return []string{fmt.Sprintf("body sha256 differs (length %d, expected %d)", len(got), e.BodyLen)}
		}
	case e.DefaultErrorPage && got == "" && rq.Method != "HEAD":
		return []string{"empty body, expected the built-in error page"}
	}
	return nil
}

// describe says in a few words what came.
func (a *answer) describe() string {
	switch {
	case a.malformed != "":
		return "a malformed answer: " + a.malformed
	case a.noResponse:
		return "no response (connection closed)"
	case a.status == 0 && a.timeout:
		return fmt.Sprintf("nothing more within %v, only %q", limit, cut(a.partial))
	case a.status == 0:
		return fmt.Sprintf("half a head %q", cut(a.partial))
	}
	return fmt.Sprintf("status %d", a.status)
}

// cut shortens a text for a message.
func cut(s string) string {
	if len(s) > 600 {
		return strings.ToValidUTF8(s[:600], "") + "…"
	}
	return s
}
