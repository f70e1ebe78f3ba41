package http1

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
)

// ringOrSkip returns a ring. Only where the kernel has none for us, by what it says itself, is there
// nothing to test.
func ringOrSkip(t testing.TB) *ring {
	t.Helper()
	r, err := newRing(2)
	switch {
	case err == nil:
	case errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EINVAL) && kernelBefore(t, 5, 19):
		t.Skipf("no io_uring here: %v", err)
	default:
		t.Fatal(err)
	}
	return r
}

// kernelBefore reports whether the kernel is older than a version.
func kernelBefore(t testing.TB, major, minor int) bool {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	var a, b int
	if _, err := fmt.Sscanf(string(text), "%d.%d", &a, &b); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return a < major || a == major && b < minor
}

// ringToClose is ringOrSkip for a test whose loop does not close it.
func ringToClose(t testing.TB) *ring {
	t.Helper()
	r := ringOrSkip(t)
	t.Cleanup(r.close)
	return r
}

// The calls that a ring makes together are those that would have been made one by one.
func TestRingMakesTheSameCalls(t *testing.T) {
	makers := map[string]*ring{"one by one": nil, "together": ringToClose(t), "refused": {broken: true}}
	makers["refused at once"] = &ring{fd: -1, entries: make([]ringEntry, 64), results: make([]ringResult, 64), tail: new(uint32), head: new(uint32), end: new(uint32)}
	for name, r := range makers {
		for _, n := range []int{0, 1, 2, 3, 5, ringCalls, ringCalls + 1, 3*ringCalls - 1} {
			t.Run(fmt.Sprintf("%s, %d", name, n), func(t *testing.T) {
				for range 3 { // so that the numbers in the ring go round
					testCalls(t, r, n)
				}
			})
		}
	}
}

// testCalls has calls made on pairs of sockets that are in several states.
func testCalls(t *testing.T, r *ring, n int) {
	t.Helper()
	calls, want := make([]call, n), make([]int, n)
	pairs := make([][2]int, n)
	for i := range calls {
		pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		pairs[i] = pair
		c := call{fd: pair[0], p: make([]byte, 8)}
		switch i % 7 {
		case 0:
			syscall.Write(pair[1], fmt.Append(nil, "n", i))
			want[i] = len(fmt.Sprint("n", i))
		case 1:
			want[i] = -int(syscall.EAGAIN)
		case 2:
			syscall.Shutdown(pair[1], syscall.SHUT_WR)
		case 3:
			c.send, c.p = true, fmt.Append(nil, "n", i)
			want[i] = len(c.p)
		case 4:
			c.send = true
			syscall.Shutdown(pair[1], syscall.SHUT_RD)
			want[i] = -int(syscall.EPIPE)
		case 5:
			c.send = true
			fillUp(pair[0])
			want[i] = -int(syscall.EAGAIN)
		case 6:
			c.fd, want[i] = -1, -int(syscall.EBADF)
		}
		calls[i] = c
	}
	r.do(calls)
	for i, c := range calls {
		if c.result != want[i] {
			t.Errorf("call %d: %d, want %d", i, c.result, want[i])
		}
		text := fmt.Append(nil, "n", i)
		switch i % 7 {
		case 0:
			if !bytes.HasPrefix(c.p, text) {
				t.Errorf("call %d: received %q", i, c.p)
			}
		case 3:
			got := make([]byte, 8)
			if k, _ := syscall.Read(pairs[i][1], got); k <= 0 || !bytes.Equal(got[:k], text) {
				t.Errorf("call %d: %q was sent", i, got)
			}
		}
		syscall.Close(pairs[i][0])
		syscall.Close(pairs[i][1])
	}
}

// From how many calls on a ring is used is measured. Whatever that gives, it is a number.
func TestRingMeasures(t *testing.T) {
	r := ringToClose(t)
	if err := r.measure(); err != nil || r.from < 2 {
		t.Errorf("from %d calls on, %v", r.from, err)
	}
	t.Logf("from %d calls on", r.from)
	r.from = 3
	for n, want := range []bool{false, false, false, true, true} {
		if r.helps(n) != want {
			t.Errorf("%d calls: %v", n, !want)
		}
	}
	r.broken = true
	if r.helps(ringCalls) || (*ring)(nil).helps(ringCalls) {
		t.Error("no ring helps")
	}
}

// fillUp writes until there is no room, and returns how much that was.
func fillUp(fd int) (n int) {
	for p := make([]byte, 4096); len(p) > 0; {
		k, err := syscall.Write(fd, p)
		if err != nil {
			p = p[:len(p)/2]
		}
		n += max(k, 0)
	}
	return n
}

// What receiving costs by itself and in numbers.
func BenchmarkCalls(b *testing.B) {
	for _, n := range []int{1, 2, 3, 4, 8, 32} {
		for name, r := range map[string]*ring{"alone": nil, "together": ringToClose(b)} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
				if err != nil {
					b.Fatal(err)
				}
				defer syscall.Close(pair[0])
				defer syscall.Close(pair[1])
				calls := make([]call, n)
				for i := range calls {
					calls[i] = call{fd: pair[0], p: make([]byte, 64)}
				}
				for b.Loop() {
					if r != nil {
						r.submit(calls)
					} else {
						r.do(calls)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/call")
			})
		}
	}
}
