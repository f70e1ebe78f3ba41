package testsite

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Answer is a response that was read to its end.
type Answer struct {
	*http.Response
	Text string
}

// Get asks for a URL; header has pairs of names and values, written as they are.
func Get(t *testing.T, url string, header ...string) Answer {
	t.Helper()
	return Do(t, "GET", url, nil, header...)
}

// Do sends a request. A body whose length Go does not know is sent in chunks.
func Do(t *testing.T, method, url string, body io.Reader, header ...string) Answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
			continue
		}
		req.Header[header[i]] = append(req.Header[header[i]], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req) // follows no redirect
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return Answer{resp, string(text)}
}

// Want checks the status and that the body contains some texts.
func (a Answer) Want(t *testing.T, status int, texts ...string) {
	t.Helper()
	if a.StatusCode != status {
		t.Errorf("%s: got %s, want %d\n%.1000s", a.Request.URL, a.Status, status, a.Text)
		return
	}
	for _, text := range texts {
		if !strings.Contains(a.Text, text) {
			t.Errorf("%s: no %q in\n%.1000s", a.Request.URL, text, a.Text)
		}
	}
}

// WantHeader checks header fields, given as pairs of names and values; "" must be missing.
func (a Answer) WantHeader(t *testing.T, header ...string) {
	t.Helper()
	for i := 0; i < len(header); i += 2 {
		if got := a.Header.Get(header[i]); got != header[i+1] {
			t.Errorf("%s: %s is %q, want %q", a.Request.URL, header[i], got, header[i+1])
		}
	}
}

// WantStream checks that the first bytes come long before the last ones, and returns all. On a
// busy machine the first ones may be late by chance; where the answer is held back they always are.
func WantStream(t *testing.T, url string) (body string) {
	t.Helper()
	var first, all time.Duration
	for range 5 {
		if body, first, all = readStream(t, url); first <= all/2 {
			return body
		}
	}
	t.Errorf("%s: the first byte came after %v, the last after %v", url, first, all)
	return body
}

// readStream returns an answer, and when its first and its last byte came.
func readStream(t *testing.T, url string) (body string, first, all time.Duration) {
	t.Helper()
	begin := time.Now()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	head := make([]byte, 1)
	if _, err := io.ReadFull(resp.Body, head); err != nil {
		t.Fatal(err)
	}
	first = time.Since(begin)
	rest, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(head) + string(rest), first, time.Since(begin)
}
