package runtime_test

import (
	"io"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"luaserve/runtime"
)

// A body that was kept is whole again after what an attempt did to it, or the loss is noticed.
func TestRewindBody(t *testing.T) {
	const short, long = "12345678", "123456789abc" // the limit is 8
	upper := func(vr *runtime.VRequest) {
		vr.AddFilterIn(runtime.NewFilter(func(in, out *runtime.ChunkQueue) error {
			data, err := io.ReadAll(in)
			out.AddString(strings.ToUpper(string(data)))
			if in.IsClosed() {
				out.AddString("!")
				out.SetClosed(true)
			}
			return err
		}))
	}
	replace := func(vr *runtime.VRequest) { vr.In.Reset(); vr.In.AddString("new"); vr.In.SetClosed(true) }
	read := func(n int64) func(*runtime.VRequest) {
		return func(vr *runtime.VRequest) { io.CopyN(io.Discard, vr.In, n) }
	}
	rewind := func(vr *runtime.VRequest) { vr.RewindBody(false) }
	measure := func(vr *runtime.VRequest) { vr.In.Measure(100) }
	steal := func(vr *runtime.VRequest) { var q runtime.ChunkQueue; q.StealAll(vr.In) }
	type steps = []func(*runtime.VRequest)
	for _, tt := range []struct {
		name, body string
		chunked    bool
		before     steps
		attempt    steps
		untaken    bool
		want       string // "" for lost
	}{
		{"no body", "", false, nil, nil, false, "<>"},
		{"untouched", short, false, nil, nil, false, short},
		{"begun", short, false, nil, steps{read(3)}, false, short},
		{"read", short, false, nil, steps{read(8), read(1)}, false, short},
		{"again and again", short, false, nil, steps{read(3), rewind, read(8), rewind, read(9)}, false, short},
		{"long, not taken", long, false, nil, nil, true, long},
		{"long, begun, not taken", long, false, nil, steps{read(3)}, true, long},
		{"long, taken", long, false, nil, nil, false, ""},
		{"long, lost", long, false, nil, steps{read(9)}, true, ""},
		{"chunked, begun", long, true, nil, steps{read(3)}, false, long},
		{"chunked, read", short, true, nil, steps{read(9)}, false, short},
		{"chunked, lost", long, true, nil, steps{read(9)}, false, ""},
		{"chunked, measured and read", short, true, nil, steps{measure, read(9)}, false, short},
		{"chunked, measured, long, taken", long, true, nil, steps{measure, read(1)}, false, ""},
		{"filtered meanwhile", short, false, nil, steps{upper, read(9)}, false, short},
		{"filtered meanwhile, long, not read", long, false, nil, steps{upper, measure}, true, "123456789ABC!"},
		{"filtered meanwhile, long, read", long, false, nil, steps{upper, measure, read(1)}, true, ""},
		{"replaced meanwhile", short, false, nil, steps{replace, read(3)}, false, short},
		{"stolen meanwhile", long, false, nil, steps{upper, measure, steal}, true, ""},
		{"replaced before", long, false, steps{replace}, steps{read(3)}, false, "new"},
		{"filtered before", "abc", false, steps{upper}, steps{read(4)}, false, "ABC!"},
		{"filtered before, long, not read", long, false, steps{upper}, nil, true, "123456789ABC!"},
		{"filtered before, long, taken", long, false, steps{upper}, nil, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			attempt := runtime.ActionDef{Name: "attempt", New: func(*runtime.Builder, runtime.Args) (runtime.Action, error) {
				return runtime.ActionFunc(func(vr *runtime.VRequest) error {
					vr.HandleDirect()
					vr.Response.Status = 200
					for _, f := range tt.before {
						f(vr)
					}
					if err := vr.KeepBody(8); err != nil {
						return err
					}
					for _, f := range tt.attempt {
						f(vr)
					}
					if ok := vr.RewindBody(tt.untaken); ok != (tt.want != "") {
						t.Errorf("whole: %v", ok)
					}
					if tt.want != "" {
						body, err := io.ReadAll(vr.In)
						if got := string(body); got != strings.Trim(tt.want, "<>") || err != nil {
							t.Errorf("got %q, %v", got, err)
						}
					}
					return nil
				}), nil
			}}
			s := load(t, "actions = attempt()", &runtime.Module{Name: "attempt", Actions: []runtime.ActionDef{attempt}})
			r := httptest.NewRequest("POST", "http://host/", strings.NewReader(tt.body))
			r.Header.Set("Content-Length", strconv.Itoa(len(tt.body)))
			if tt.chunked {
				r.Header.Del("Content-Length")
				r.ContentLength = -1
			}
			w := httptest.NewRecorder()
			if s.ServeHTTP(w, r); w.Code != 200 {
				t.Errorf("%d\n%s", w.Code, s.log)
			}
		})
	}
}
