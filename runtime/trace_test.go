package runtime_test

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"

	"luaserve/runtime"
)

// A request is answered the same, with the same log, whether it is traced or not; and its
// trace can be written down.
func TestTraceChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := newRulesGen(t)
		script := "actions = " + g.script()
		traced, tracedLog := loadQuietly(t, script, runtime.Load)
		plain, plainLog := loadQuietly(t, script, runtime.Load)
		defer traced.Close()
		defer plain.Close()
		for range 4 {
			ex := g.request()
			reply, trace := traced.Trace(ex, runtime.TraceOptions{})
			got, want := textOf(reply), answerOf(plain, ex)
			if got != want || tracedLog.String() != plainLog.String() {
				t.Fatalf("%s %v\n%s\n got %s\n%s\nwant %s\n%s", ex.target, ex.fields, script, got, tracedLog, want, plainLog)
			}
			if _, err := json.Marshal(trace); err != nil || len(trace.Steps) == 0 {
				t.Fatalf("%d steps, %v", len(trace.Steps), err)
			}
		}
	})
}
