package main

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

const nginxStat = "812 (nginx: (worker) x) S 811 811 4 0 -1 4194624 221 0 0 0 340 1207 9 8 20 0 1 0 901 70000000 1500 18446744073709551615\n"

func TestParseStat(t *testing.T) {
	p, err := parseStat(nginxStat)
	if want := (process{pid: 812, parent: 811, user: 3400 * time.Millisecond, system: 12070 * time.Millisecond}); err != nil || p != want {
		t.Errorf("got %+v, %v, expected %+v", p, err, want)
	}
	for text, want := range map[string]string{
		"":                            "expected a name in parentheses",
		"812 nginx S 811":             "expected a name in parentheses",
		"812 )nginx( S 811":           "expected a name in parentheses",
		"812 (nginx) S 811 1":         "expected at least 15 fields, got 5",
		"x (nginx) S 1" + fields("2"): `stat: strconv.ParseInt: parsing "x"`,
		"1 (nginx) S 1" + fields("y"): `stat: strconv.ParseInt: parsing "y"`,
	} {
		if _, err := parseStat(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, expected %q", text, err, want)
		}
	}
}

// fields are those of a stat line that follow the parent.
func fields(each string) string { return strings.Repeat(" "+each, 20) }

func TestParsePeak(t *testing.T) {
	if n, err := parseMemory("Name:\tx\nVmPeak:\t 90 kB\nVmHWM:\t    12 kB\n", "VmHWM:"); err != nil || n != 12<<10 {
		t.Errorf("got %d, %v, expected %d", n, err, 12<<10)
	}
	for _, text := range []string{"", "VmPeak:\t 90 kB\n", "VmHWM:\t much\n"} {
		if _, err := parseMemory(text, "VmHWM:"); err == nil {
			t.Errorf("%q: expected an error", text)
		}
	}
}

func proc(stats map[string]string) fstest.MapFS {
	fs := fstest.MapFS{"self/stat": {Data: []byte("no process")}}
	for pid, stat := range stats {
		fs[pid+"/stat"] = &fstest.MapFile{Data: []byte(pid + stat)}
		fs[pid+"/status"] = &fstest.MapFile{Data: []byte("VmHWM:\t" + pid + " kB\n")}
	}
	return fs
}

func stat(parent, user, system string) string {
	return " (x) S " + parent + " 0 0 0 0 0 0 0 0 0 " + user + " " + system
}

func TestTree(t *testing.T) {
	fs := proc(map[string]string{"10": stat("1", "0", "0"), "20": stat("10", "0", "0"), "5": stat("20", "0", "0"), "30": stat("1", "0", "0")})
	list, err := tree(fs, 10)
	if err != nil || len(list) != 3 || list[0].pid != 5 || list[1].pid != 10 || list[2].pid != 20 {
		t.Fatalf("got %+v, %v, expected the processes 5, 10 and 20", list, err)
	}
	if n, err := peak(fs, list); err != nil || n != 35<<10 {
		t.Errorf("peak: got %d, %v, expected %d", n, err, 35<<10)
	}
	if _, err := tree(fs, 99); err == nil || err.Error() != "process 99 is gone" {
		t.Errorf("got error %v", err)
	}
}

func TestSpent(t *testing.T) {
	before, _ := tree(proc(map[string]string{"10": stat("1", "5", "7"), "20": stat("10", "1", "1")}), 10)
	after, _ := tree(proc(map[string]string{"10": stat("1", "6", "7"), "20": stat("10", "3", "5")}), 10)
	user, system, err := spent(before, after)
	if err != nil || user != 30*time.Millisecond || system != 40*time.Millisecond {
		t.Errorf("got %s, %s, %v, expected 30ms and 40ms", user, system, err)
	}
	for name, other := range map[string][]process{"fewer": after[:1], "others": {after[0], {pid: 21}}} {
		if _, _, err := spent(before, other); err == nil {
			t.Errorf("%s: expected an error", name)
		}
	}
}
