package runtime

import "time"

// Limits are what a server lets its clients ask for, and how long it waits for them.
type Limits struct {
	HeaderBytes int   // length of a whole request head
	HeaderCount int   // number of its fields
	TargetBytes int   // length of the request target
	BodyBytes   int64 // length of a request body
	BodyRate    int64 // bytes a second that a request body must have on average; 0 is no limit

	Connections      int // at a time, over all listeners; 0 is no limit
	ConnectionsPerIP int // those of one address, of one /64 with IPv6; 0 is no limit

	HeaderTimeout time.Duration // for a whole request head
	BodyTimeout   time.Duration // for the next bytes of a request body
	WriteTimeout  time.Duration // for progress in sending the answer
	IdleTimeout   time.Duration // between two requests
}

// DefaultLimits returns the limits of a script that sets none.
func DefaultLimits() Limits {
	return Limits{
		HeaderBytes: 64 << 10, HeaderCount: 100, TargetBytes: 8 << 10, BodyBytes: 10 << 30, BodyRate: 100,
		HeaderTimeout: 20 * time.Second, BodyTimeout: time.Minute, WriteTimeout: time.Minute, IdleTimeout: 75 * time.Second,
	}
}

// Patience says how long to wait for the next bytes of one request body: BodyTimeout, but in
// all only for as long as the body keeps to BodyRate. A client that sends a byte now and then
// would occupy an application for ever. What does not count is the time in which nobody reads.
type Patience struct {
	waited time.Duration
	came   int64
}

// Left returns how long to wait; it may be negative.
func (p *Patience) Left(l *Limits) time.Duration {
	if l.BodyRate == 0 {
		return l.BodyTimeout
	}
	const years = 1e9 // seconds, so that nothing overflows
	earned := time.Duration(min(p.came/l.BodyRate, years)) * time.Second
	return min(l.BodyTimeout, l.BodyTimeout+earned-p.waited)
}

// Spend notes that n bytes came, and how long they were waited for.
func (p *Patience) Spend(waited time.Duration, n int) {
	p.waited += waited
	p.came += int64(n)
}
