package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of processor times in /proc: USER_HZ is 100 on every architecture that
// Go supports on Linux.
const tick = 10 * time.Millisecond

// process is what /proc says of one process.
type process struct {
	pid, parent  int
	user, system time.Duration // of all its threads, without children
}

// parseStat reads /proc/PID/stat (proc_pid_stat(5)). The name of the program, the second
// field, may contain spaces and parentheses.
func parseStat(text string) (process, error) {
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return process{}, fmt.Errorf("stat: expected a name in parentheses, got %q", text)
	}
	rest := strings.Fields(text[end+1:]) // begins with the third field
	if len(rest) < 13 {
		return process{}, fmt.Errorf("stat: expected at least 15 fields, got %d", len(rest)+2)
	}
	var numbers [4]int64
	for i, field := range []string{strings.TrimSpace(text[:open]), rest[1], rest[11], rest[12]} {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return process{}, fmt.Errorf("stat: %w", err)
		}
		numbers[i] = n
	}
	return process{pid: int(numbers[0]), parent: int(numbers[1]),
		user: time.Duration(numbers[2]) * tick, system: time.Duration(numbers[3]) * tick}, nil
}

// parseMemory reads a field of /proc/PID/status that says how much memory there is, in bytes.
func parseMemory(text, field string) (int64, error) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, field); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("%s %w", field, err)
			}
			return kb << 10, nil
		}
	}
	return 0, fmt.Errorf("status: expected a line %s", field)
}

// tree returns a process and all its descendants, in the order of their ids.
func tree(proc fs.FS, root int) ([]process, error) {
	stats, err := fs.Glob(proc, "[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	children := map[int][]process{}
	var list []process
	for _, name := range stats {
		text, err := fs.ReadFile(proc, name)
		if err != nil {
			continue // it has ended since
		}
		p, err := parseStat(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if p.pid == root {
			list = append(list, p)
		}
		children[p.parent] = append(children[p.parent], p)
	}
	if list == nil {
		return nil, fmt.Errorf("process %d is gone", root)
	}
	for i := 0; i < len(list); i++ {
		list = append(list, children[list[i].pid]...)
	}
	slices.SortFunc(list, func(a, b process) int { return a.pid - b.pid })
	return list, nil
}

// spent returns the processor time that a tree used between two looks at it. A process that
// began or ended in between is an error, because its time would be missing.
func spent(before, after []process) (user, system time.Duration, err error) {
	same := slices.EqualFunc(before, after, func(a, b process) bool { return a.pid == b.pid })
	if !same {
		return 0, 0, errors.New("a process of the server began or ended during the measurement")
	}
	for i := range before {
		user += after[i].user - before[i].user
		system += after[i].system - before[i].system
	}
	return user, system, nil
}

// peak sums up the peak resident set sizes of a tree, in bytes. Memory that processes share
// counts once for each of them.
func peak(proc fs.FS, processes []process) (int64, error) { return sum(proc, processes, "VmHWM:") }

func sum(proc fs.FS, processes []process, field string) (int64, error) {
	var sum int64
	for _, p := range processes {
		text, err := fs.ReadFile(proc, path.Join(strconv.Itoa(p.pid), "status"))
		if err != nil {
			return 0, err
		}
		n, err := parseMemory(string(text), field)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}
