package runtime_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"luaserve/runtime"
)

// breaking gives its text together with the end or with an error.
type breaking struct {
	text string
	err  error
}

func (b *breaking) Read(p []byte) (int, error) { return copy(p, b.text), b.err }
func (b *breaking) Close() error               { return nil }

// What comes together with an error is flushed: the connection is cut behind it. What comes
// together with the end goes out with the end.
func TestLastPieceIsFlushed(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		err     error
		flushes int
	}{{broken, 1}, {io.EOF, 0}} {
		var out bytes.Buffer
		flushes := 0
		reply := runtime.NewReply(200, -1, &breaking{"abc", tt.err})
		err := reply.WriteBody(&out, func() { flushes++ })
		if wanted := tt.err == broken; errors.Is(err, broken) != wanted || out.String() != "abc" || flushes != tt.flushes {
			t.Errorf("%v: got %q, %d flushes, %v", tt.err, &out, flushes, err)
		}
		reply.Close()
	}
}
