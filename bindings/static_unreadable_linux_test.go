package bindings

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// TestStaticUnreadable asks as a user whom permissions hold back, also when root runs it.
func TestStaticUnreadable(t *testing.T) {
	s := newStaticSite(t, plainStatic)
	if err := os.Chmod(filepath.Join(s.root, "a.txt"), 0); err != nil {
		t.Fatal(err)
	}
	answer := make(chan *httptest.ResponseRecorder)
	go func() {
		if os.Getuid() == 0 {
			// Without CAP_DAC_OVERRIDE, in this thread, which ends with the goroutine.
			runtime.LockOSThread()
			const nobody = 65534
			if err := os.Chmod(filepath.Dir(s.dir), 0o755); err != nil { // where t.TempDir is
				t.Error(err)
			}
			syscall.RawSyscall(syscall.SYS_SETFSUID, nobody, 0, 0)
		}
		answer <- s.ask("GET", "/a.txt")
	}()
	if r := <-answer; r.Code != 403 {
		t.Errorf("status %d, want 403", r.Code)
	}
	if !strings.Contains(s.log.String(), "file refused") {
		t.Errorf("the log does not say why: %s", s.log)
	}
}
