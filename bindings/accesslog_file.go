package bindings

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"luaserve/runtime"
)

// accessLogs are the files that one program writes its access log to.
type accessLogs struct {
	target, format, server runtime.OptionRef
	log                    *slog.Logger

	mu    sync.Mutex
	files map[string]*logFile
}

// accessLogsKey is what a program's accessLogs are found by.
type accessLogsKey struct{}

func (a *accessLogs) open(b *runtime.Builder, target string) (*logFile, error) {
	if err := checkLogFile(b, target); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if f := a.files[target]; f != nil {
		return f, nil
	}
	if err := tooManyLogs(b, len(a.files)); err != nil {
		return nil, err
	}
	f := &logFile{name: target, log: a.log}
	if target == "stderr" {
		f.w = os.Stderr
	} else {
		file, err := openLog(b, target)
		if err != nil {
			return nil, err
		}
		f.w, f.file = file, file
	}
	f.timer = time.AfterFunc(time.Hour, f.flush)
	f.timer.Stop()
	a.files[target] = f
	return f, nil
}

func (a *accessLogs) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range a.files {
		f.close()
	}
}

// write logs a request that is over.
func (a *accessLogs) write(vr *runtime.VRequest) {
	if f := vr.Option(a.target).(*logFile); f != nil {
		line := accessLine{vr: vr, server: vr.Option(a.server).(string), end: vr.Now()}
		format := vr.Option(a.format).(*accessFormat)
		f.add(func(buf []byte) []byte { return append(format.append(buf, &line), '\n') })
	}
}

// checkLogFile keeps the logs of an untrusted script in its directory.
func checkLogFile(b *runtime.Builder, target string) error {
	if target == "stderr" {
		return nil
	}
	return b.Files().Contains(target)
}

// openLog opens a log file for appending.
func openLog(b *runtime.Builder, target string) (*os.File, error) {
	const flag, perm = os.O_WRONLY | os.O_APPEND | os.O_CREATE, 0o640
	if files := b.Files(); files.Confined() {
		return files.OpenFile(target, flag, perm)
	}
	return os.OpenFile(target, flag, perm) // a FIFO is waited for
}

// maxLogFiles is how many log files of a program may be open before handlers can name no more:
// they stay open.
const maxLogFiles = 256

func tooManyLogs(b *runtime.Builder, open int) error {
	if !b.InSite() && open >= maxLogFiles {
		return fmt.Errorf("%d log files are open already, and they stay so: expected the same files for each request", open)
	}
	return nil
}

const (
	logFlushEvery = 500 * time.Millisecond
	logBuffer     = 32 << 10 // bytes
)

// logFile collects lines and writes them together, always whole ones: two programs may
// append to one file while one takes over from the other.
type logFile struct {
	name string
	w    io.Writer
	file *os.File // nil when w is not ours to close
	log  *slog.Logger

	mu     sync.Mutex
	buf    []byte
	timer  *time.Timer // runs while buf is not empty
	failed bool        // a write failed and was reported
	closed bool
}

// add has line append a line to the buffer.
func (f *logFile) add(line func(buf []byte) []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	if len(f.buf) == 0 {
		f.timer.Reset(logFlushEvery)
	}
	f.buf = line(f.buf)
	if len(f.buf) >= logBuffer {
		f.timer.Stop()
		f.writeOut()
	}
}

func (f *logFile) flush() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writeOut()
}

// writeOut empties the buffer. That a disk is full is said once, not for every line.
func (f *logFile) writeOut() {
	if len(f.buf) == 0 || f.closed {
		return
	}
	_, err := f.w.Write(f.buf)
	f.buf = f.buf[:0]
	if err != nil && !f.failed {
		f.log.Error("accesslog: lines are lost", "file", f.name, "error", err.Error())
	}
	f.failed = err != nil
}

func (f *logFile) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.timer.Stop()
	f.writeOut()
	f.closed = true
	if f.file != nil {
		f.file.Close()
	}
}
