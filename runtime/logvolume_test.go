package runtime_test

import (
	"fmt"
	"strings"
	"testing"
)

// One request does not fill the disk with the log, whatever it writes it with; the next one is
// heard again. A script that is trusted may.
func TestLogVolume(t *testing.T) {
	for _, write := range []string{
		`print(text)`, `vr:print(text)`, `lighty.warning(text)`, `lighty.info(text)`, `lighty.error(text)`,
		`vr:subrequest(action.list { function(vr) print(text) end })`,
		`pcall(print, text)`, `coroutine.wrap(print)(text)`,
		`vr:enter_action(action.log.write(text))`,
	} {
		for _, level := range levels {
			t.Run(write+" "+level, func(t *testing.T) {
				s := guest(t, guestDir(t), level, []string{"vr.enter_action"}, `
					local text = ("x"):rep(1000)
					actions = { function(vr)
						for i = 1, vr.req.uri.path == "/much" and 200 or 1 do `+write+` end
					end, function(vr) say(vr, "done") end }`)
				for _, path := range []string{"/much", "/"} {
					before := len(s.log.String())
					if status, body := s.get(path); status != 200 || body != "done" {
						t.Fatalf("%s: %d %q\n%.500s", path, status, body, s.log)
					}
					log := s.log.String()[before:]
					lines, said := strings.Count(log, strings.Repeat("x", 1000)), "bytes=135000 limit=65536"
					switch {
					case path == "/" && (lines != 1 || strings.Contains(log, "left out")),
						path == "/much" && level == "trusted" && (lines != 200 || strings.Contains(log, "left out")),
						path == "/much" && level != "trusted" && (lines != 65 || strings.Count(log, "left out") != 1 || !strings.Contains(log, said)):
						t.Errorf("%s: %d lines; %.300q", path, lines, log[max(0, len(log)-300):])
					}
				}
			})
		}
	}
}

// Nor does the loading of a file.
func TestLogVolumeOfALoad(t *testing.T) {
	for _, level := range levels {
		s := guest(t, guestDir(t), level, nil, `for i = 1, 200 do print(("x"):rep(1000)) end actions = respond "loaded"`)
		status, _ := s.get("/")
		lines := strings.Count(s.log.String(), strings.Repeat("x", 1000)+"\"") + strings.Count(s.log.String(), strings.Repeat("x", 1000)+" ")
		got := fmt.Sprint(status, " ", lines)
		if want := map[string]string{"trusted": "200 200"}[level]; got != want && (want != "" || status != 500 || lines > 70 || !strings.Contains(s.log.String(), "while the file was loaded")) {
			t.Errorf("%s: %s\n%.500s", level, got, s.log.String()[max(0, len(s.log.String())-500):])
		}
	}
}
