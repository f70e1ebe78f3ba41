package runtime_test

import (
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"luaserve/runtime"
)

// A body of unknown length that must be buffered has a limit, on the disk too.
func TestBodyOfUnknownLengthIsBounded(t *testing.T) {
	measure := &runtime.Module{Name: "test", Actions: []runtime.ActionDef{{Name: "measure", New: func(*runtime.Builder, runtime.Args) (runtime.Action, error) {
		return runtime.ActionFunc(func(vr *runtime.VRequest) error {
			_, err := vr.ContentLength()
			return err
		}), nil
	}}}}
	cfg := testConfig(&logBuffer{}, measure)
	cfg.MaxBufferedBody = 300 << 10
	p, err := runtime.Load(writeScript(t, `actions = { action.measure(), respond "fits" }`), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for size, want := range map[int]int{100: 200, 299 << 10: 200, 300 << 10: 200, 300<<10 + 1: 413, 8 << 20: 413} {
		r := httptest.NewRequest("PUT", "http://host/", io.MultiReader(strings.NewReader(strings.Repeat("x", size))))
		r.ContentLength, r.TransferEncoding = -1, []string{"chunked"}
		w := httptest.NewRecorder()
		if p.ServeHTTP(w, r); w.Code != want {
			t.Errorf("%d bytes: status %d, want %d", size, w.Code, want)
		}
	}
}
