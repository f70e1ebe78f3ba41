package http1

import (
	"math"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// call is a system call that sends or receives on a socket and never waits.
type call struct {
	fd     int
	p      []byte
	send   bool
	result int // bytes, or below zero the number of the error
}

// do makes the call alone.
func (c *call) do() {
	number, flags := uintptr(unix.SYS_RECVFROM), uintptr(0)
	if c.send {
		number, flags = unix.SYS_SENDTO, syscall.MSG_NOSIGNAL
	}
	for {
		n, _, errno := syscall.RawSyscall6(number, uintptr(c.fd), uintptr(unsafe.Pointer(unsafe.SliceData(c.p))), uintptr(len(c.p)), flags, 0, 0)
		switch errno {
		case 0:
			c.result = int(n)
			return
		case syscall.EINTR:
		default:
			c.result = -int(errno)
			return
		}
	}
}

// ring makes many calls in one (io_uring): to enter the kernel and to leave it is a large part of
// what a short request costs. The calls are the same as without it, and over when do returns:
// nothing goes on in the background. One goroutine at a time may use it; a nil one makes the calls
// one by one.
type ring struct {
	fd      int
	from    int  // from how many calls on they cost less together than one by one
	broken  bool // the kernel has refused it once
	memory  []byte
	entries []ringEntry
	results []ringResult
	tail    *uint32 // behind the last entry
	head    *uint32 // the first result that was not looked at
	end     *uint32 // behind the last result
}

// ringEntry is struct io_uring_sqe.
type ringEntry struct {
	op       uint8
	_        uint8
	_        uint16
	fd       int32
	_        uint64
	addr     uint64
	length   uint32
	msgFlags uint32
	user     uint64
	_        [3]uint64
}

// ringResult is struct io_uring_cqe.
type ringResult struct {
	user  uint64
	value int32
	_     uint32
}

// ringParams is struct io_uring_params: where things are in the memory, after the setup.
type ringParams struct {
	entries, results, flags, cpu, idle, features, queue uint32
	_                                                   [3]uint32
	sq                                                  struct {
		head, tail, mask, entries, flags, dropped, array, _ uint32
		_                                                   uint64
	}
	cq struct {
		head, tail, mask, entries, overflow, results, flags, _ uint32
		_                                                      uint64
	}
}

const (
	sysRingSetup, sysRingEnter = 425, 426 // but for MIPS, which has no such calls then
	ringSubmitAll, ringCoop    = 1 << 7, 1 << 8
	ringOneMapping             = 1 << 0
	ringGetEvents              = 1 << 0
	ringSend, ringReceive      = 26, 27
	ringEntriesAt              = 0x10000000

	// ringCalls is how many calls are made in one at most: nothing else runs there meanwhile.
	ringCalls = 32
)

// newRing makes a ring that is used from so many calls on; with 0 that is measured. It fails where
// the kernel is older than 5.19, or forbids it.
func newRing(from int) (*ring, error) {
	p := ringParams{flags: ringSubmitAll | ringCoop}
	fd, _, errno := syscall.Syscall(sysRingSetup, ringCalls, uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, os.NewSyscallError("io_uring_setup", errno)
	}
	r := &ring{fd: int(fd), from: from}
	if err := r.mapMemory(&p); err != nil {
		r.close()
		return nil, os.NewSyscallError("mmap", err)
	}
	if from == 0 {
		if err := r.measure(); err != nil {
			r.close()
			return nil, err
		}
	}
	return r, nil
}

// measure finds out from how many calls on the ring costs less, which takes a fraction of a
// millisecond: it is 2 or 3 where entering the kernel is expensive, as it is where user programs
// must not see its memory (page table isolation), and more elsewhere.
func (r *ring) measure() error {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	defer syscall.Close(pair[0])
	defer syscall.Close(pair[1])
	const few, many = 2, 10
	var calls [many]call
	for i := range calls {
		calls[i] = call{fd: pair[0], p: make([]byte, 1)}
	}
	// some let rings be made and refuse what they are for
	if r.submit(calls[:]) < many || slices.ContainsFunc(calls[:], func(c call) bool { return c.result != -int(syscall.EAGAIN) }) {
		return os.NewSyscallError("io_uring_enter", syscall.ENOTSUP)
	}
	one := least(func() {
		for i := range calls {
			calls[i].do()
		}
	}) / many
	first, all := least(func() { r.submit(calls[:few]) }), least(func() { r.submit(calls[:]) })
	next := (all - first) / (many - few)
	if r.from = ringCalls + 1; next < one {
		r.from = max(2, int(math.Ceil((first-few*next)/(one-next))))
	}
	return nil
}

// least is what f takes if nothing comes between, in nanoseconds.
func least(f func()) float64 {
	took := time.Duration(math.MaxInt64)
	for range 20 {
		began := time.Now()
		f()
		took = min(took, time.Since(began))
	}
	return float64(took)
}

func (r *ring) mapMemory(p *ringParams) (err error) {
	if p.features&ringOneMapping == 0 {
		return syscall.ENOTSUP
	}
	size := max(p.sq.array+p.entries*4, p.cq.results+p.results*uint32(unsafe.Sizeof(ringResult{})))
	if r.memory, err = mapShared(r.fd, 0, int(size)); err != nil {
		return err
	}
	entries, err := mapShared(r.fd, ringEntriesAt, int(p.entries)*int(unsafe.Sizeof(ringEntry{})))
	if err != nil {
		return err
	}
	r.entries = unsafe.Slice((*ringEntry)(unsafe.Pointer(&entries[0])), p.entries)
	r.results = unsafe.Slice((*ringResult)(unsafe.Pointer(&r.memory[p.cq.results])), p.results)
	at := func(offset uint32) *uint32 { return (*uint32)(unsafe.Pointer(&r.memory[offset])) }
	r.tail, r.head, r.end = at(p.sq.tail), at(p.cq.head), at(p.cq.tail)
	for i, order := uint32(0), unsafe.Slice(at(p.sq.array), p.entries); i < p.entries; i++ {
		order[i] = i
	}
	return nil
}

func mapShared(fd int, at int64, size int) ([]byte, error) {
	return syscall.Mmap(fd, at, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED|syscall.MAP_POPULATE)
}

func (r *ring) close() {
	if r == nil {
		return
	}
	if r.entries != nil {
		size := len(r.entries) * int(unsafe.Sizeof(ringEntry{}))
		syscall.Munmap(unsafe.Slice((*byte)(unsafe.Pointer(&r.entries[0])), size))
	}
	if r.memory != nil {
		syscall.Munmap(r.memory)
	}
	syscall.Close(r.fd)
}

// helps reports whether so many calls cost less together.
func (r *ring) helps(n int) bool { return r != nil && !r.broken && n >= r.from }

// do makes all calls, in their order.
func (r *ring) do(calls []call) {
	for len(calls) > 0 {
		some := calls[:min(len(calls), ringCalls)]
		made := 0
		if r.helps(len(some)) {
			made = r.submit(some)
			r.broken = made < len(some)
		}
		for i := range some[made:] {
			some[made+i].do()
		}
		calls = calls[len(some):]
	}
}

// submit makes calls together, and returns how many of them the kernel has taken.
func (r *ring) submit(calls []call) (made int) {
	tail := *r.tail
	for i := range calls {
		r.entries[(tail+uint32(i))%uint32(len(r.entries))].set(i, &calls[i])
	}
	atomic.StoreUint32(r.tail, tail+uint32(len(calls)))
	for made < len(calls) {
		n, _, errno := syscall.RawSyscall6(sysRingEnter, uintptr(r.fd), uintptr(len(calls)-made), 0, 0, 0, 0)
		if errno == syscall.EINTR {
			continue
		}
		if errno != 0 || n == 0 {
			atomic.StoreUint32(r.tail, tail+uint32(made)) // the kernel only looks when it is entered
			break
		}
		made += int(n)
	}
	for left := made - r.take(calls); left > 0; left -= r.take(calls) { // never seen: they do not wait
		syscall.Syscall6(sysRingEnter, uintptr(r.fd), 0, uintptr(left), ringGetEvents, 0, 0)
	}
	return made
}

func (e *ringEntry) set(number int, c *call) {
	*e = ringEntry{
		op:       ringReceive,
		fd:       int32(c.fd),
		addr:     uint64(uintptr(unsafe.Pointer(unsafe.SliceData(c.p)))), // calls holds it, and the heap does not move
		length:   uint32(len(c.p)),
		msgFlags: syscall.MSG_DONTWAIT,
		user:     uint64(number),
	}
	if c.send {
		e.op, e.msgFlags = ringSend, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL
	}
}

// take notes the results that are there, and returns how many.
func (r *ring) take(calls []call) (n int) {
	head, end := *r.head, atomic.LoadUint32(r.end)
	for ; head != end; head++ {
		result := r.results[head%uint32(len(r.results))]
		calls[result.user].result = int(result.value)
		n++
	}
	atomic.StoreUint32(r.head, head)
	return n
}
