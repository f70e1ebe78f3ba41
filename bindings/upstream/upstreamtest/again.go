package upstreamtest

import (
	"errors"

	"luaserve/bindings/upstream"
)

// Again calls do up to five times, as long as it fails with a timeout elsewhere than in the
// operation op: then the machine stood still, and the backend could not do its part in time. op
// is "" where no timeout is to be.
func Again(op string, do func() error) (err error) {
	for range 5 {
		err = do()
		if e, ok := errors.AsType[*upstream.Error](err); !ok || e.Kind != upstream.Timeout || e.Op == op {
			break
		}
	}
	return err
}
