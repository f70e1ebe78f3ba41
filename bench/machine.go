package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	goruntime "runtime"
	"strings"
)

// machine is where it was measured.
type machine struct {
	Processor string
	Cores     int
	Kernel    string
	Load      string // of the last 1, 5 and 15 minutes, before the measurements
}

// thisMachine reads what Linux says; what it does not say stays empty.
func thisMachine() machine {
	cpu, _ := os.ReadFile("/proc/cpuinfo")
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	load, _ := os.ReadFile("/proc/loadavg")
	return machine{Processor: cpuModel(string(cpu)), Cores: goruntime.NumCPU(),
		Kernel: "Linux " + strings.TrimSpace(string(kernel)), Load: strings.Join(firstFields(string(load), 3), " ")}
}

// checkout returns the commit of the working directory, and whether it was changed since.
func checkout(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "" // no git, or no repository
	}
	return strings.TrimSpace(string(out))
}

func cpuModel(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return goruntime.GOARCH
}

func firstFields(text string, n int) []string {
	fields := strings.Fields(text)
	return fields[:min(n, len(fields))]
}

func (m machine) String() string {
	return fmt.Sprintf("%s, %d cores, %s; load before: %s", m.Processor, m.Cores, m.Kernel, m.Load)
}
