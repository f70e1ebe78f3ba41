package fcgi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"

	"luaserve/bindings/upstream"
)

func FuzzHead(f *testing.F) {
	for _, s := range []string{
		"", "\n", "\r\n", "A: 1\n\n", "A: 1\r\nB:2\r\n\r\n", "Status: 404 Not Found\n\n", "status:099\n\n",
		"Location: /x\n\n", "Content-Length: 5\nContent-Length: 5\n\n", "Connection: x\nTransfer-Encoding: y\n\n",
		"bogus\n\n", ": x\n\n", "A : 1\n\n", "A: \x00\n\n", "Status: 204\nContent-Length: 1\n\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		end, _ := upstream.HeadEnd([]byte(s), 0)
		if end >= 0 {
			if line := strings.TrimSuffix(strings.TrimSuffix(s[:end], "\n"), "\r"); line != "" && !strings.HasSuffix(line, "\n") {
				t.Fatalf("the head %q does not end in an empty line", s[:end])
			}
			s = s[:end]
		}
		h, err := parseHead(s, nil)
		if err != nil {
			if _, ok := errors.AsType[protocolError](err); !ok {
				t.Fatalf("error %v of another type", err)
			}
			return
		}
		if h.status < 100 || h.status > 999 || h.length < -1 {
			t.Fatalf("status %d, length %d", h.status, h.length)
		}
		for _, f := range h.fields {
			if f.Name == "" || strings.ContainsAny(f.Name, ": \t\r\n\x00") || strings.ContainsAny(f.Value, "\r\n\x00") ||
				strings.Trim(f.Value, " \t") != f.Value || upstream.IsName(f.Name, "status") || hopByHop(f.Name) {
				t.Fatalf("field %q", f)
			}
		}
	})
}

// outcome is what a caller sees of an answer.
type outcome struct {
	status int
	header []Field
	body   string
	err    error
	kept   bool
	stderr int
}

// replay lets a client read data as an answer, chunk bytes at a time.
func replay(data []byte, chunk int, isHead bool) outcome {
	return replayOn(&scripted{data: bytes.NewReader(data), chunk: chunk}, isHead)
}

func replayOn(nc *scripted, isHead bool) (o outcome) {
	client := NewClient(Config{Config: upstream.Config{Address: "x", MaxHeadBytes: 4096}})
	a := &answer{config: &client.config, ctx: context.Background(), isHead: isHead, left: -1}
	a.lines.emit = func(s string) { o.stderr += len(s) }
	c := newConn(nc, client.pool, &client.config)
	c.begin(a)
	a.conn.Store(c)
	uploading := false
	_, o.err = a.exchange(c, &Request{}, &outgoing{}, &uploading)
	if o.err == nil {
		o.status, o.header = a.response.Status, a.response.Header
		var body []byte
		body, o.err = io.ReadAll(a.response.Body)
		o.body = string(body)
		a.Close()
	}
	o.kept = client.pool.Len() > 0
	if !o.kept && !nc.closed {
		panic("the connection was neither kept nor closed")
	}
	return o
}

// When nothing of the request could be written, an answer that is there counts, and its
// absence leaves the request unsent.
func TestWriteFails(t *testing.T) {
	o := replayOn(&scripted{data: bytes.NewReader(nil), fail: syscall.EPIPE}, false)
	if e := wantError(t, o.err, "send", upstream.BadResponse); e.Sent || !errors.Is(e, syscall.EPIPE) {
		t.Errorf("got %v, sent %v", e, e.Sent)
	}
	answer := slices.Concat(stdout("Status: 503\n\nbusy"), end(0))
	o = replayOn(&scripted{data: bytes.NewReader(answer), fail: syscall.EPIPE}, false)
	if o.err != nil || o.status != 503 || o.body != "busy" || o.kept {
		t.Errorf("got %+v", o)
	}
}

func FuzzRecords(f *testing.F) {
	head := stdout("A: 1\r\nStatus: 201\n\nbody")
	for _, parts := range [][][]byte{
		{}, {head, end(0)}, {head, stdout(""), rec(typeStderr, "oops\n"), end(0)}, {head}, {end(0)}, {end(2)}, {end(1)},
		{stdout("Content-Length: 4\n\nbody"), end(0)}, {stdout("Content-Length: 3\n\nbody"), end(0)},
		{stdout("Content-Length: 5\n\nbody"), end(0)}, {stdout("Status: 204\n\nbody"), end(0)},
		{stdout("A:"), rec(typeStderr, "x"), stdout("1\n\n"), end(0), end(0)}, {rec(99, "x")},
		{{1, typeUnknownType, 0, 0, 0, 8, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8}, head, end(0)},
		{stdout("\n"), stdout(strings.Repeat("x", 70_000)), end(0)}, {stdout(strings.Repeat("A: 1\n", 2000))},
	} {
		f.Add(slices.Concat(parts...), false)
		f.Add(slices.Concat(parts...), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, isHead bool) {
		whole := replay(data, 0, isHead)
		for _, chunk := range []int{1, 7, 1000} {
			if chunk < 10 && len(data) > 10_000 {
				continue
			}
			o := replay(data, chunk, isHead)
			// with all at hand, a fault behind the head is known when the head is
			early := whole.status == 0
			if upstream.KindOf(o.err) != upstream.KindOf(whole.err) || o.stderr != whole.stderr ||
				!early && (o.body != whole.body || o.status != whole.status || !slices.Equal(o.header, whole.header)) {
				t.Fatalf("at once: %+v\n%d bytes at a time: %+v", whole, chunk, o)
			}
		}
		if whole.kept && whole.err != nil {
			t.Fatalf("a connection was kept after %v", whole.err)
		}
	})
}
