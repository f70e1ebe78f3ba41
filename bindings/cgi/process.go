package cgi

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"luaserve/bindings/fcgi"
)

// linger is how long the streams of a program that has ended are still read, should a child
// have them open, and how long the end of a program is waited for that has closed its output.
const linger = time.Second

// past is a deadline that ends every wait at once.
var past = time.Unix(1, 0)

// process is a program with its process group and our ends of its streams.
type process struct {
	cmd    *exec.Cmd
	stdin  *os.File // nil when there is no request body
	stdout *os.File
	stderr *os.File // nil when nobody listens
	grace  time.Duration
	ended  chan struct{} // closed when the program was waited for

	mu     sync.Mutex
	cause  *Error // why it is stopped, nil while it is not
	reaped bool
	timer  *time.Timer // what happens to it next, or nil
}

// streams are the pipes of a program.
type streams struct {
	ours, theirs []*os.File
	err          error
}

// add makes a pipe and returns its two ends, nil after an error.
func (s *streams) add(toProgram bool) (ours, theirs *os.File) {
	r, w, err := os.Pipe()
	if err != nil {
		s.err = err
		return nil, nil
	}
	ours, theirs = r, w
	if toProgram {
		ours, theirs = w, r
	}
	s.ours, s.theirs = append(s.ours, ours), append(s.theirs, theirs)
	return ours, theirs
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// keepInherited marks what came from the parent of this process: all that Go opens is marked.
func keepInherited() {
	open, _ := os.ReadDir("/proc/self/fd") // without /proc it cannot be known
	for _, entry := range open {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}

// startProcess starts the program of a request as the leader of a process group. Streams that
// are not needed are /dev/null.
func startProcess(r *Request, env []string, grace time.Duration) (*process, error) {
	cmd := &exec.Cmd{
		Path: r.Program, Args: append([]string{r.Program}, r.Args...), Dir: r.dir(), Env: env,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	p := &process{cmd: cmd, grace: grace, ended: make(chan struct{})}
	var s streams
	p.stdout, cmd.Stdout = s.add(false)
	if r.Length > 0 {
		p.stdin, cmd.Stdin = s.add(true)
	}
	if r.Stderr != nil {
		p.stderr, cmd.Stderr = s.add(false)
	}
	err := s.err
	if err == nil {
		err = cmd.Start()
	}
	closeAll(s.theirs)
	if err == nil {
		return p, nil
	}
	closeAll(s.ours)
	if _, dirErr := os.Stat(cmd.Dir); dirErr != nil {
		return nil, fmt.Errorf("working directory: %w", dirErr) // Start would blame the program
	}
	return nil, err
}

// wait waits for the end of the program. What is left of a group that is stopped is killed
// before the program's number can be given to another process.
func (p *process) wait() {
	waitEnded(p.cmd.Process.Pid)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cause != nil {
		p.signal(syscall.SIGKILL)
	}
	p.cmd.Wait() // its error only repeats ProcessState
	p.reaped = true
	if p.timer != nil {
		p.timer.Stop()
	}
	close(p.ended)
	soon := time.Now().Add(linger)
	if p.cause == nil {
		p.stdout.SetReadDeadline(soon)
	}
	if p.stderr != nil {
		p.stderr.SetReadDeadline(soon)
	}
	p.closeInput()
}

// stop ends the group. The first cause counts, and is what who reads the output gets.
func (p *process) stop(cause *Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cause != nil {
		return
	}
	p.cause = cause
	p.stdout.SetReadDeadline(past)
	if p.reaped {
		return
	}
	p.signal(syscall.SIGTERM)
	p.after(p.grace, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !p.reaped {
			p.signal(syscall.SIGKILL)
		}
	})
}

// after has f called after a time, in place of what was to happen. The lock is held.
func (p *process) after(d time.Duration, f func()) {
	if p.timer != nil {
		p.timer.Stop()
	}
	p.timer = time.AfterFunc(d, f)
}

// signal sends a signal to the group. The lock is held, and the program was not waited for.
func (p *process) signal(s syscall.Signal) {
	if err := syscall.Kill(-p.cmd.Process.Pid, s); err != nil {
		p.cmd.Process.Signal(s) // it has left its group
	}
}

// closeInput ends the request body, also a write of it that waits.
func (p *process) closeInput() {
	if p.stdin != nil {
		p.stdin.Close()
	}
}

// stopAfter stops the program unless it ends by itself in that time.
func (p *process) stopAfter(d time.Duration, cause *Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped && p.cause == nil {
		p.after(d, func() { p.stop(cause) })
	}
}

// state returns why the program is stopped, nil when it is not, and whether it has ended.
func (p *process) state() (cause *Error, ended bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cause, p.reaped
}

// arm sets how long the next Read of stdout may wait.
func (p *process) arm(timeout time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	deadline := time.Time{}
	switch {
	case p.cause != nil:
		deadline = past
	case p.reaped:
		deadline = time.Now().Add(linger)
	case timeout > 0:
		deadline = time.Now().Add(timeout)
	}
	p.stdout.SetReadDeadline(deadline)
}

// passStderr hands the lines of stderr to emit. Everything is read, so that the program never
// has to wait; what is beyond the limit is only counted.
func (p *process) passStderr(emit func(string), limit int64) {
	defer p.stderr.Close()
	lines := fcgi.NewLineSplitter(emit)
	io.Copy(lines, io.LimitReader(p.stderr, limit)) // an error is the end of it
	lines.Flush()
	if dropped, _ := io.Copy(io.Discard, p.stderr); dropped > 0 {
		emit(fmt.Sprintf("(%d bytes more on stderr)", dropped))
	}
}
