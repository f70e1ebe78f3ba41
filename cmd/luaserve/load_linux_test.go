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

// BenchmarkCheckLargeSite measures luaserve check as a process of its own: the time until it
// ends, the processor time of all its threads, and the peak of its memory.
func BenchmarkCheckLargeSite(b *testing.B) {
	for name, script := range map[string]string{"text": largeText(), "loop": largeLoop} {
		b.Run(name, func(b *testing.B) {
			file := writeFile(b, b.TempDir(), "site.lua", script)
			var cpu, peak float64
			for b.Loop() {
				cmd := exec.Command(binary, "check", file)
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
				usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
				cpu += (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
				peak = max(peak, float64(usage.Maxrss)/1024)
			}
			b.ReportMetric(cpu/float64(b.N), "cpu-s/op")
			b.ReportMetric(peak, "peak-MB")
		})
	}
}
