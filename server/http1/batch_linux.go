package http1

import (
	"io"
	"syscall"
	"time"

	"luaserve/runtime"
)

// arrival is a session for which something has come, and what was read of that.
type arrival struct {
	to   *session
	from *socket // that of its client or of a backend; nil when nothing was read
	input
}

// roomBytes is how much may be read for the sessions of a loop before they are called.
const roomBytes = 64 * bufferSize

// payAfter is how long an answer may wait for others that are sent with it.
const payAfter = moment(500 * time.Microsecond)

// nextArrival waits for the next session that is to be served; false when the loop is closed.
func (l *loop) nextArrival() (arrival, bool) {
	for {
		last := len(l.stuck) - 1
		switch {
		case last >= 0:
			s := l.stuck[last]
			l.stuck[last], l.stuck = nil, l.stuck[:last]
			return arrival{to: s}, true
		case len(l.owing) > 0 && (l.next == l.came || now()-l.owedSince > l.payAfter):
			l.collect()
		case l.next < l.came:
			a := l.arrivals[l.next]
			l.arrivals[l.next] = arrival{}
			l.next++
			return a, true
		default:
			if l.ready.Read(l.poll) != nil {
				return arrival{}, false
			}
			l.loops.awake()
			l.gather()
		}
	}
}

// gather notes what the events are about, and reads what has come: all of it before any session
// is served, so that they can share what was found out in between.
func (l *loop) gather() {
	var sockets [len(l.events)]*socket
	l.mu.Lock()
	for i, e := range l.events[:l.got] {
		if int(e.Fd) >= len(l.sockets) {
			continue // the bell
		}
		if s := l.sockets[e.Fd]; s != nil && s.serial == e.Pad {
			sockets[i] = s
		}
	}
	l.mu.Unlock()
	l.next, l.came = 0, 0
	batch, room := &runtime.Batch{}, l.room
	for i, s := range sockets[:l.got] {
		if s == nil {
			continue
		}
		to := s.happened(l.events[i].Events)
		if to == nil {
			continue
		}
		a := &l.arrivals[l.came]
		a.to = to
		l.came++
		if len(room) < bufferSize || !l.readsAhead(s, to) || !s.use() {
			continue // the session reads by itself
		}
		a.from, a.batch = s, batch
		l.calls = append(l.calls, call{fd: s.fd, p: room[:bufferSize]})
		room = room[bufferSize:]
	}
	l.receive()
}

// readsAhead reports whether what comes on a socket is read before its session is called: the head
// of a request, so that requests can share what they find out, and where it costs less, the answer
// of a backend.
func (l *loop) readsAhead(from *socket, to *session) bool {
	if from.backend {
		return l.ring != nil
	}
	return to.isNew()
}

// receive makes the calls that read for the arrivals.
func (l *loop) receive() {
	l.ring.do(l.calls)
	calls := l.calls
	for i := range l.arrivals[:l.came] {
		a := &l.arrivals[i]
		if a.from == nil {
			continue
		}
		a.from.unuse()
		switch n := calls[0].result; {
		case n > 0:
			a.data = calls[0].p[:n]
		case n == 0:
			a.err = io.EOF
		case n == -int(syscall.EAGAIN):
			a.from, a.batch = nil, nil
		default:
			a.err = syscall.Errno(-n)
		}
		calls = calls[1:]
	}
	l.forgetCalls()
}

func (l *loop) forgetCalls() {
	clear(l.calls)
	l.calls = l.calls[:0]
}

// hand gives a session what was read for it. The room for that is the loop's: another goroutine
// that gets the loop reads into it again.
func (a *arrival) hand() {
	if a.from != nil && a.from.backend {
		a.from.ahead.put(a.data, a.err)
	} else {
		a.to.receive(a.input)
	}
}

// owe has the loop send what a session owes, together with what others do.
func (l *loop) owe(s *session) {
	if len(l.owing) == 0 {
		l.owedSince = now()
	}
	l.owing = append(l.owing, s)
}

// collect sends what sessions owe.
func (l *loop) collect() {
	for _, s := range l.owing {
		c := call{fd: -1, p: s.conn.owed.data, send: true}
		if to := s.conn.owed.to.(*socket); to.use() {
			c.fd = to.fd
		}
		l.calls = append(l.calls, c)
	}
	l.ring.do(l.calls)
	for i, s := range l.owing {
		if l.calls[i].fd >= 0 {
			s.conn.owed.to.unuse()
		}
		if !s.conn.paid(l.calls[i].result) {
			l.stuck = append(l.stuck, s)
		}
	}
	l.forgetCalls()
	clear(l.owing)
	l.owing = l.owing[:0]
}

// ahead is what was read from a backend before the request asked for it.
type ahead struct {
	room []byte
	data []byte // the rest of it, in room
	err  error  // behind it
}

func (a *ahead) put(data []byte, err error) {
	a.room = append(append(a.room[:0], a.data...), data...)
	a.data = a.room
	if err != io.EOF { // which is found there again
		a.err = err
	}
}

// take is a read; false when there is nothing.
func (a *ahead) take(p []byte) (n int, err error, ok bool) {
	if a == nil {
		return 0, nil, false
	}
	if len(a.data) > 0 {
		n = copy(p, a.data)
		a.data = a.data[n:]
		return n, nil, true
	}
	err, a.err = a.err, nil
	return 0, err, err != nil
}
