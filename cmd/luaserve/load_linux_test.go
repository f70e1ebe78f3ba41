package main

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// largeHosts is how many virtual hosts a large site has, with 20 rules each.
const largeHosts = 10000

// largeText is the site as a text of 15 MB.
func largeText() string {
	var b strings.Builder
	b.WriteString("actions = vhost.map {\n")
	for h := range largeHosts {
		fmt.Fprintf(&b, "[\"h%d.test\"] = {\n", h)
		for r := 0; r < 20; r += 4 {
			fmt.Fprintf(&b, ` when(request.path:prefix "/h%[1]d-%[2]d/", { header.add("X-Rule", "%[2]d") }),
 when(request.path:eq "/h%[1]d-%[3]d/", { redirect "/new" }),
 when(request.path:suffix ".x%[4]d", { expire "access 1 week" }),
 when(request.path:match "^/user%[5]d/([a-z]+)$", { rewrite "/u.php?%%1" }, { env.set("R", "%[5]d") }),
`, h, r, r+1, r+2, r+3)
		}
		fmt.Fprintf(&b, " respond \"host %d\"\n},\n", h)
	}
	return b.String() + "default = respond(404) }"
}

// largeLoop is the same site, made in a loop.
var largeLoop = fmt.Sprintf(`
local hosts = { default = respond(404) }
for h = 0, %d - 1 do
  local l = {}
  for r = 0, 19, 4 do
    l[#l + 1] = when(request.path:prefix("/h" .. h .. "-" .. r .. "/"), { header.add("X-Rule", tostring(r)) })
    l[#l + 1] = when(request.path:eq("/h" .. h .. "-" .. r + 1 .. "/"), { redirect "/new" })
    l[#l + 1] = when(request.path:suffix(".x" .. r + 2), { expire "access 1 week" })
    l[#l + 1] = when(request.path:match("^/user" .. r + 3 .. "/([a-z]+)$"), { rewrite "/u.php?%%1" }, { env.set("R", tostring(r + 3)) })
  end
  l[#l + 1] = respond("host " .. h)
  hosts["h" .. h .. ".test"] = l
end
actions = vhost.map(hosts)`, largeHosts)

// BenchmarkLargeSite measures luaserve with a large site as a process of its own: run until
// it listens, and check. Shown are the time, the processor time of all threads, and the peak
// of the memory.
func BenchmarkLargeSite(b *testing.B) {
	for _, site := range [][2]string{{"text", largeText()}, {"loop", largeLoop}} {
		file := writeFile(b, b.TempDir(), "site.lua", "setup.listen \"127.0.0.1:0\"\n"+site[1])
		b.Run("run/"+site[0], func(b *testing.B) {
			var used usage
			for b.Loop() {
				p := start(b, nil, "run", file)
				b.StopTimer()
				p.cmd.Process.Signal(syscall.SIGTERM)
				if err := p.cmd.Wait(); err != nil {
					b.Fatalf("%v\n%s", err, p.log)
				}
				used.add(p.cmd)
				b.StartTimer()
			}
			used.report(b)
		})
		b.Run("check/"+site[0], func(b *testing.B) {
			var used usage
			for b.Loop() {
				cmd := exec.Command(binary, "check", file)
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
				used.add(cmd)
			}
			used.report(b)
		})
	}
}

// usage is what processes have used.
type usage struct{ seconds, peak float64 }

// add adds a process that has ended.
func (u *usage) add(cmd *exec.Cmd) {
	u.seconds += (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	u.peak = max(u.peak, float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)/1024)
}

func (u *usage) report(b *testing.B) {
	b.ReportMetric(u.seconds/float64(b.N), "cpu-s/op")
	b.ReportMetric(u.peak, "peak-MB")
}
