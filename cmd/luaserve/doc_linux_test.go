package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// On a terminal the text is as wide as that and titles are bold, unless NO_COLOR is set.
func TestDocOnATerminal(t *testing.T) {
	for _, c := range []struct {
		env   string
		width uint16
		title string
		want  int // the longest line
	}{
		{"NO_COLOR=", 60, "\x1b[1mmodule deflate\x1b[0m", 60},
		{"NO_COLOR=1", 60, "module deflate", 60},
		{"TERM=dumb", 60, "module deflate", 60},
		{"NO_COLOR=", 200, "\x1b[1mmodule deflate\x1b[0m", 100},
	} {
		text := onTerminal(t, c.width, c.env, "doc", "deflate")
		lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(text, "\r", "")), "\n")
		if lines[0] != c.title {
			t.Errorf("%s: the title is %q, want %q", c.env, lines[0], c.title)
		}
		longest := 0
		for _, line := range lines[1:] {
			if !strings.HasPrefix(line, "    actions") {
				longest = max(longest, utf8.RuneCountInString(line))
			}
		}
		if longest > c.want || longest < c.want-20 {
			t.Errorf("at %d columns the longest line has %d, want about %d", c.width, longest, c.want)
		}
	}
}

// onTerminal runs luaserve on a terminal and returns what it wrote there.
func onTerminal(t *testing.T, width uint16, env string, args ...string) string {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	defer master.Close()
	fd := int(master.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: width}); err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Stdout, cmd.Stderr = terminal, terminal
	cmd.Env = append(os.Environ(), "TERM=xterm", env)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	text, _ := io.ReadAll(master) // ends with EIO when the last holder of the terminal has closed it
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(text)
}
