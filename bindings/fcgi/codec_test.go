package fcgi

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestBegin(t *testing.T) {
	got := appendBegin(nil, 2, true)
	want := []byte{1, 1, 0, 1, 0, 8, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0}
	if !bytes.Equal(got, want) {
		t.Errorf("got % x, want % x", got, want)
	}
	if got := appendBegin(nil, 1, false); got[10] != 0 {
		t.Errorf("flags %d without keep-alive", got[10])
	}
}

func TestRecordPadding(t *testing.T) {
	for n := range 20 {
		r := rec(typeStdin, strings.Repeat("x", n))
		if len(r)%8 != 0 || len(r) != 8+n+int(r[6]) {
			t.Errorf("content of %d bytes: record of %d, padding %d", n, len(r), r[6])
		}
	}
}

func TestParams(t *testing.T) {
	tests := []struct {
		name   string
		params []Param
	}{
		{"none", nil},
		{"empty value", []Param{{"A", ""}}},
		{"order and duplicates", []Param{{"Z", "1"}, {"A", "2"}, {"Z", "3"}}},
		{"127 and 128 bytes", []Param{{strings.Repeat("n", 127), strings.Repeat("v", 128)}, {strings.Repeat("n", 128), "x"}}},
		{"one full record", []Param{{"A", strings.Repeat("v", maxContent-6)}}},
		{"one byte more", []Param{{"A", strings.Repeat("v", maxContent-5)}}},
		{"many records", []Param{{"A", strings.Repeat("v", 300_000)}, {"B", "after"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wire := appendParams(appendBegin(nil, 1, true), tt.params)
			wire = appendEmpty(wire, typeStdin)
			client, app := pipe(wire)
			defer client.Close()
			got, err := app.request()
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.params, tt.params) {
				t.Errorf("params came out differently")
			}
		})
	}
}

func TestOneWriteForWholeRequest(t *testing.T) {
	out, err := encode(post("body"), true, "")
	if err != nil {
		t.Fatal(err)
	}
	_, app := pipe(out.wire)
	got, err := app.request()
	if err != nil || string(got.stdin) != "body" || got.flags != flagKeepConn {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestRecordReader(t *testing.T) {
	big := strings.Repeat("b", 65535)
	management := rec(typeUnknownType, "12345678")
	management[3] = 0
	wire := slices.Concat(rec(typeStdout, "a"), management, rec(typeStdout, ""),
		slices.Concat([]byte{1, typeStderr, 0, 1, 0xff, 0xff, 255, 0}, []byte(big), make([]byte, 255)), end(0))
	for _, size := range []int{16, 17, 64, 16 << 10} {
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "half": iotest.HalfReader,
		} {
			rr := &recordReader{src: wrap(bytes.NewReader(wire)), buf: make([]byte, size)}
			var got strings.Builder
			for {
				if err := rr.next(); err != nil {
					t.Fatalf("%d %s: %v", size, name, err)
				}
				if rr.typ == typeEnd {
					status, err := rr.end()
					fmt.Fprint(&got, " end ", status, " ", err, " ", rr.clean())
					break
				}
				fmt.Fprint(&got, " ", rr.typ, ":", rr.left)
				p := make([]byte, 20_000)
				for rr.left > 0 {
					if _, err := rr.read(p); err != nil {
						t.Fatal(err)
					}
				}
			}
			if want := " 6:1 11:0 6:0 7:65535 end 0 <nil> true"; got.String() != want {
				t.Errorf("%d %s: got%s, want%s", size, name, got.String(), want)
			}
		}
	}
}

func TestBadRecords(t *testing.T) {
	tests := []struct{ name, wire, want string }{
		{"version", "\x02\x06\x00\x01\x00\x00\x00\x00", "record of FastCGI version 2, expected 1"},
		{"another id", "\x01\x06\x00\x02\x00\x00\x00\x00", "record with request id 2, expected 1"},
		{"stdout with id 0", "\x01\x06\x00\x00\x00\x00\x00\x00", "record with request id 0, expected 1"},
		{"unknown type", "\x01\x63\x00\x01\x00\x00\x00\x00", "unexpected record of type 99"},
		{"stdin from application", "\x01\x05\x00\x01\x00\x00\x00\x00", "unexpected record of type 5"},
		{"management type with an id", "\x01\x0b\x00\x01\x00\x00\x00\x00", "unexpected record of type 11"},
		{"short end", "\x01\x03\x00\x01\x00\x04\x00\x00\x00\x00\x00\x00", "END_REQUEST record of 4 bytes, expected 8"},
		{"half a header", "\x01\x06\x00", "EOF"},
	}
	for _, tt := range tests {
		rr := &recordReader{src: strings.NewReader(tt.wire), buf: make([]byte, 64)}
		if err := rr.next(); err == nil || err.Error() != tt.want {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
}

func TestLineSplitter(t *testing.T) {
	long := strings.Repeat("x", maxStderrLine)
	tests := []struct {
		name string
		in   []string
		want []string
	}{
		{"lines", []string{"a\nb\r\nc\n"}, []string{"a", "b", "c"}},
		{"no newline", []string{"a\nb"}, []string{"a", "b"}},
		{"pieces", []string{"a", "b\r", "\nc", "\n"}, []string{"ab", "c"}},
		{"empty lines", []string{"\n\na\n"}, []string{"", "", "a"}},
		{"nothing", []string{"", ""}, nil},
		{"as long as allowed", []string{long + "\n" + "b\n"}, []string{long, "b"}},
		{"as long as allowed, in pieces", []string{long, "\n", "b\n"}, []string{long, "b"}},
		{"as long as allowed, crlf", []string{long + "\r\nb\n"}, []string{long, "b"}},
		{"too long", []string{long + long + "tail\nnext\n"}, []string{long, long, "tail", "next"}},
		{"too long, at the edge", []string{long + long + "\nnext\n"}, []string{long, long, "next"}},
		{"carriage return inside", []string{"a\rb\n"}, []string{"a\rb"}},
	}
	for _, tt := range tests {
		var got []string
		l := NewLineSplitter(func(s string) { got = append(got, s) })
		for _, s := range tt.in {
			if n, err := l.Write([]byte(s)); n != len(s) || err != nil {
				t.Errorf("%s: got %d, %v", tt.name, n, err)
			}
		}
		l.Flush()
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %d lines %.60q", tt.name, len(got), got)
		}
		if cap(l.part) > 2*maxStderrLine {
			t.Errorf("%s: %d bytes held", tt.name, cap(l.part))
		}
	}
	NewLineSplitter(nil).Write([]byte("nobody listens\n"))
}
