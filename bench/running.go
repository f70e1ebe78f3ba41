package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// running is a process that was started here.
type running struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
}

// start runs a program with its output in a file of the directory. It gets no more
// processors than it may have workers, should it be written in Go, and a process group of
// its own, because lighttpd ends by sending a signal to its whole group.
func start(name, dir string, workers int, program string, args ...string) (*running, error) {
	log, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	// Caddy would leave files in the home directory.
	cmd.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", workers), "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &running{name: name, cmd: cmd, log: log.Name(), done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in its output
		close(r.done)
	}()
	return r, nil
}

// stop asks the process to end, and after ten seconds it ends the whole group.
func (r *running) stop() {
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-r.done:
	case <-time.After(10 * time.Second):
		_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL)
		<-r.done
	}
}

// failed adds the end of the process's output to an error.
func (r *running) failed(err error) error {
	text, _ := os.ReadFile(r.log)
	if len(text) > 2000 {
		text = text[len(text)-2000:]
	}
	return fmt.Errorf("%s: %w\n%s", r.name, err, text)
}

// await returns once a condition holds; it gives up after two minutes, which caddy comes near
// to with 10,000 hosts on a busy machine, when the process ends, and when ctx is done.
func (r *running) await(ctx context.Context, condition func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for !condition() {
		select {
		case <-ctx.Done():
			return r.failed(fmt.Errorf("it does not listen: %w", ctx.Err()))
		case <-r.done:
			return r.failed(errors.New("it has ended"))
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

// listens tells whether connections to an address are accepted.
func listens(addr string) bool {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	c.Close()
	return true
}
