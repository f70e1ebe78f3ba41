package runtime

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// cutSender is a front end that finds a byte less in a file than there was.
type cutSender struct{ io.Writer }

func (cutSender) SendFile(_ SentFile, _, n int64) (int64, error) { return n - 1, nil }

// A file that becomes shorter while it is sent is a fault of the body, whichever way it takes:
// what came of it is not taken for the whole.
func TestFileThatBecomesShorter(t *testing.T) {
	const size = 100_000
	for way, take := range map[string]func(q *ChunkQueue) error{
		"written": func(q *ChunkQueue) error { return q.writeTo(struct{ io.Writer }{io.Discard}, nil) },
		"sent":    func(q *ChunkQueue) error { return q.writeTo(cutSender{io.Discard}, nil) },
		"read": func(q *ChunkQueue) error {
			_, err := io.Copy(io.Discard, q)
			return err
		},
	} {
		t.Run(way, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			q := &ChunkQueue{}
			q.AddFile(f, 0, size)
			q.SetClosed(true)
			if err := os.Truncate(name, size-1); err != nil {
				t.Fatal(err)
			}
			if err := take(q); err == nil || !strings.Contains(err.Error(), "became shorter") {
				t.Errorf("got %v, want an error that says so", err)
			}
			q.Reset()
		})
	}
}
