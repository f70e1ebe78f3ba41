package runtime

import "time"

// Limits are what a server lets its clients ask for, and how long it waits for them.
type Limits struct {
	HeaderBytes int   // length of a whole request head
	HeaderCount int   // number of its fields
	TargetBytes int   // length of the request target
	BodyBytes   int64 // length of a request body

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
		HeaderBytes: 64 << 10, HeaderCount: 100, TargetBytes: 8 << 10, BodyBytes: 10 << 30,
		HeaderTimeout: 20 * time.Second, BodyTimeout: time.Minute, WriteTimeout: time.Minute, IdleTimeout: 75 * time.Second,
	}
}
