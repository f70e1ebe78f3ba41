//go:build !linux

package upstream

import (
	"context"
	"errors"
	"net"
	"time"
)

// CanConfine reports whether this system has [DialWithin]: only Linux connects to what was opened.
const CanConfine = false

// DialWithin fails: see [CanConfine], which says so before.
func DialWithin(context.Context, string, string, time.Time) (net.Conn, error) {
	return nil, errors.ErrUnsupported
}
