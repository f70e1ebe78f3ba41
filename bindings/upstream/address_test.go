package upstream

import (
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	tests := []struct{ in, network, address, err string }{
		{"unix:/run/x.sock", "unix", "/run/x.sock", ""},
		{"unix:rel.sock", "unix", "rel.sock", ""},
		{"127.0.0.1:9000", "tcp", "127.0.0.1:9000", ""},
		{"[::1]:9000", "tcp", "[::1]:9000", ""},
		{"localhost:9000", "tcp", "localhost:9000", ""},
		{"h:65535", "tcp", "h:65535", ""},
		{"", "", "", "is empty"},
		{"unix:", "", "", "has no path"},
		{"unix:/" + strings.Repeat("x", 107), "", "", "108 bytes"},
		{"unix:/a\x00b", "", "", "NUL"},
		{"/run/x.sock", "", "", `write "unix:/run/x.sock"`},
		{"localhost", "", "", "missing port"},
		{"localhost:", "", "", "missing port"},
		{":9000", "", "", "missing host"},
		{"::1:9000", "", "", "too many colons"},
		{"h:0", "", "", "not between 1 and 65535"},
		{"h:65536", "", "", "not between 1 and 65535"},
		{"h:99999999999999999999", "", "", "not between 1 and 65535"},
		{"h:-1", "", "", "is not a number"},
		{"h:http", "", "", "is not a number"},
	}
	for _, tt := range tests {
		network, address, err := ParseAddress(tt.in)
		if network != tt.network || address != tt.address || (err == nil) != (tt.err == "") {
			t.Errorf("%q: got %q %q %v", tt.in, network, address, err)
		}
		if err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q: got %v, want %s", tt.in, err, tt.err)
		}
	}
}
