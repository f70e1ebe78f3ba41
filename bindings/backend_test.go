package bindings_test

import (
	"strings"
	"testing"
)

func TestBackendOptionErrors(t *testing.T) {
	for call, want := range map[string]string{
		`fastcgi { sokcet = "unix:/run/x.sock" }`:                         `fastcgi: unknown option "sokcet"; did you mean "socket"?`,
		`fastcgi { read_timeout = 5 }`:                                    `fastcgi: the option "socket" is missing; expected "unix:/path" or "host:port"`,
		`scgi { socket = "unix:/x", read_timeout = "long" }`:              "scgi: read_timeout: expected seconds from 0.001 to 86400, got \"long\"",
		`scgi { socket = "unix:/x", send_timeout = 0 }`:                   "scgi: send_timeout: expected seconds from 0.001 to 86400, got 0",
		`proxy { socket = "127.0.0.1" }`:                                  `proxy: backend address "127.0.0.1": missing port in address; expected "host:port"`,
		`proxy { socket = 80 }`:                                           "proxy: socket: expected a string, got 80",
		`proxy { socket = "h:80", environment = { A = "b" } }`:            `proxy: unknown option "environment"; expected one of socket, connect_timeout, `,
		`fastcgi { socket = "h:80", environment = { A = 1 } }`:            "fastcgi: environment: expected a name and a string, got \"A\" = 1",
		`fastcgi { socket = "h:80", environment = "A" }`:                  "fastcgi: environment: expected a table of names and values, got \"A\"",
		`fastcgi { socket = "h:80", environment = { A = "%{req.pth}" } }`: `environment: A: pattern "%{req.pth}": unknown variable "req.pth"`,
		`fastcgi { socket = "h:80", keep_alive = "no" }`:                  "fastcgi: keep_alive: expected true or false, got \"no\"",
		`fastcgi { socket = "h:80", max_head_bytes = 5 }`:                 "fastcgi: max_head_bytes: expected a whole number from 1024 to 16777216, got 5",
		`fastcgi.authorize { socket = "h:80", idle_connections = -1 }`:    "fastcgi.authorize: idle_connections: expected a whole number from 0 to 100000, got -1",
		`fastcgi.authorize { "h:80", read_timeout = 1 }`:                  "a table cannot be a list and have named keys at once",
		`fastcgi.authorize(5)`:                                            "fastcgi.authorize: socket: expected an address or a table of options, got a number",
		`fastcgi.authorize("h:80", "h:81")`:                               "fastcgi.authorize: ",
	} {
		err := loadError(t, "actions = "+call)
		if err == nil || !strings.Contains(err.Error(), "site.lua:1: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", call, err, want)
		}
	}
}
