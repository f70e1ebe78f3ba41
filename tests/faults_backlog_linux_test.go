package tests

import (
	"net"
	"syscall"
	"testing"
	"time"
)

// Nobody accepts, and no more connections may wait: Linux refuses them on a unix socket and lets
// them wait over TCP. The client sees the same.
func TestFaultsOfTheBacklog(t *testing.T) {
	for _, f := range []fault{
		{name: "unix", address: fullBacklog("unix"), options: "connect_timeout = 0.05", status: 504, log: "dial: (connect: resource temporarily unavailable|i/o timeout)"},
		{name: "TCP", address: fullBacklog("tcp"), options: "connect_timeout = 0.05", status: 504, log: "dial: .*timeout"},
	} {
		for _, protocol := range protocols {
			t.Run(f.name+"/"+string(protocol), func(t *testing.T) {
				t.Parallel()
				f.run(t, protocol, "")
			})
		}
	}
}

// fullBacklog makes a listener that has no room for one more connection.
func fullBacklog(network string) func(*testing.T) (address string) {
	return func(t *testing.T) string {
		at := "127.0.0.1:0"
		if network == "unix" {
			at = shortDir(t) + "/s"
		}
		l, err := net.Listen(network, at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		raw, err := l.(syscall.Conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var listenErr error
		if err := raw.Control(func(fd uintptr) { listenErr = syscall.Listen(int(fd), 0) }); err != nil || listenErr != nil {
			t.Fatal(err, listenErr)
		}
		for failed := 0; failed < 3; { // one alone may come from a busy machine
			c, err := net.DialTimeout(network, l.Addr().String(), 200*time.Millisecond)
			if err != nil {
				failed++
				continue
			}
			failed = 0
			t.Cleanup(func() { c.Close() })
		}
		if network == "unix" {
			return "unix:" + at
		}
		return l.Addr().String()
	}
}
