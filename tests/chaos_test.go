//go:build linux

package tests

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"luaserve/tests/pki"
)

// chaosVariable says how long the chaos lasts.
const (
	chaosVariable = "LUASERVE_CHAOS"
	chaosDefault  = 10 * time.Second
)

// What the clients ask for.
var fileSizes = []int{100, 60_000, 3_000_000}

const (
	versions     = 50
	changingSize = 8_000_000
)

// chaos is a site where everything breaks that can break, all the time.
type chaos struct {
	t             *testing.T
	dir           string
	plain, secure string // addresses
	small         bool   // dir/small is a file system of a few pages
	log           *logBuffer
	server        *exec.Cmd
	backend       struct {
		sync.Mutex
		*exec.Cmd
	}
}

const chaosScript = `-- generation %[1]d
setup.listen "%[2]s"
setup.openssl { listen = "%[3]s", pemfile = "$DIR/site.pem" }
setup.mime_types "default"
setup.limits { header_timeout = 30, body_timeout = 30, write_timeout = 5, idle_timeout = 2 } -- on busy machines clients need long
setup.accesslog "%[4]s"
actions = {
  when(request.path:eq "/metrics", status.metrics()),
  when(request.path:eq "/lua", function(vr)
    local body = vr["in"]:read() or ""
    if vr:handle_direct() then vr.resp.status = 200; vr.out:add(vr.req.uri.query .. ":" .. body:upper()) end
  end),
  when(request.path:eq "/fails", function() error("on purpose") end),
  when(request.path:eq "/fcgi", fastcgi { socket = "unix:$DIR/fcgi", read_timeout = 5 }),
  when(request.path:eq "/http", proxy { socket = "unix:$DIR/http", read_timeout = 5 }),
  docroot "$DIR/www", static(),
  when(request.path:prefix "/cached/", { deflate(), cache.disk.etag "$DIR/small" }),
}
`

// TestChaos has many clients at work while backends are killed, scripts are replaced by good and
// broken ones, files are replaced and truncated, descriptors run out, and disks are full. What is
// answered completely is right, byte for byte; what is not can be told from that; and when it is
// over nothing is left of it. LUASERVE_CHAOS=1m says how long it lasts.
func TestChaos(t *testing.T) {
	lasts := chaosDefault
	if text := os.Getenv(chaosVariable); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s: %v", chaosVariable, err)
		}
	}
	x := startChaos(t)
	c := x.crowd()
	c.everything("before the chaos")
	before := x.rest()

	ctx, end := context.WithTimeout(t.Context(), lasts)
	defer end()
	var wg sync.WaitGroup
	wg.Go(func() { x.killBackends(ctx, c) })
	wg.Go(func() { x.stall(ctx, c) })
	for _, fault := range []func(context.Context){x.reload, x.changeFiles, x.takeDescriptors, x.spoilDocroot} {
		wg.Go(func() { fault(ctx) })
	}
	for range 12 {
		wg.Go(func() { c.stay(ctx) })
	}
	wg.Wait()

	x.restore()
	c.everything("after the chaos")
	x.compare(before)
	x.stop()
	t.Logf("right: %v\nother statuses: %v\ncut or none: %v", c.whole, c.other, c.cut)
}

func startChaos(t *testing.T) *chaos {
	t.Helper()
	x := &chaos{t: t, dir: shortDir(t), log: &logBuffer{}}
	x.plain, x.secure = "127.0.0.1:"+strconv.Itoa(freePort(t)), "127.0.0.1:"+strconv.Itoa(freePort(t))
	var errs []error
	for _, dir := range []string{"/www/gone", "/www/cached", "/small"} {
		errs = append(errs, os.MkdirAll(x.dir+dir, 0o755))
	}
	for i, n := range fileSizes {
		errs = append(errs, os.WriteFile(fmt.Sprintf("%s/www/file%d", x.dir, i), content(i, n), 0o644))
	}
	errs = append(errs, os.WriteFile(x.dir+"/www/gone/file", content(7, 1000), 0o644),
		os.WriteFile(x.dir+"/www/cached/text.txt", bytes.Repeat([]byte("cached "), 5000), 0o644))
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	x.replaceChanging(0)
	x.mountSmall()
	t.Cleanup(func() {
		if t.Failed() {
			text := x.log.String()
			t.Logf("end of the log of the server:\n%s", text[max(0, len(text)-30_000):])
		}
	})
	x.startBackend()
	t.Cleanup(x.stopBackend)
	return x
}

// crowd starts the server and makes clients of each protocol.
func (x *chaos) crowd() *crowd {
	ca := pki.Authority(x.t, "CA")
	ca.Server(x.t, "site.example").Write(x.t, x.dir+"/site.pem")
	x.writeScript(0)
	x.server = startProcess(x.t, "server", x.dir, x.log)
	x.t.Cleanup(func() { _ = x.server.Process.Kill() })
	waitFor(x.t, "the server", func() bool {
		c, err := net.Dial("tcp", x.plain)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	c := &crowd{chaos: x, whole: map[string]int{}, other: map[string]int{}, cut: map[string]int{}}
	c.clients = []*http.Client{tlsClient(x.t, x.plain, nil, false), tlsClient(x.t, x.secure, trusting(ca.Pool()), false), tlsClient(x.t, x.secure, trusting(ca.Pool()), true)}
	for _, client := range c.clients {
		client.Timeout = 20 * time.Second
		client.Transport.(*http.Transport).DisableCompression = true
	}
	return c
}

// everything checks that each visit gets what it wants.
func (c *crowd) everything(when string) {
	c.chaos.t.Helper()
	for _, v := range visits {
		if v.name == "Lua error" {
			continue
		}
		for _, client := range c.clients {
			waitFor(c.chaos.t, v.name+" "+when, func() bool { return c.visit(v, client) || c.chaos.t.Failed() })
		}
	}
	for _, client := range c.clients {
		client.CloseIdleConnections()
	}
}

// writeScript writes the script of a generation. Every fourth is broken, and every third writes its
// access log to a disk that is full.
func (x *chaos) writeScript(generation int) {
	log := x.dir + "/access.log"
	if generation%3 == 2 {
		log = "/dev/full"
	}
	text := strings.ReplaceAll(fmt.Sprintf(chaosScript, generation, x.plain, x.secure, log), "$DIR", x.dir)
	if generation%4 == 3 {
		text += "actions = no.such.action()\n"
	}
	if err := os.WriteFile(x.dir+"/site.lua.new", []byte(text), 0o644); err != nil {
		x.t.Error(err)
	}
	if err := os.Rename(x.dir+"/site.lua.new", x.dir+"/site.lua"); err != nil {
		x.t.Error(err)
	}
}

// pause waits for a random time; false says that the chaos is over.
func pause(ctx context.Context, most time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(rand.N(most)):
		return true
	}
}

func (x *chaos) reload(ctx context.Context) {
	for generation := 1; pause(ctx, 400*time.Millisecond); generation++ {
		x.writeScript(generation)
		if err := x.server.Process.Signal(syscall.SIGHUP); err != nil {
			x.t.Errorf("the server is gone: %v", err)
			return
		}
	}
}

// startBackend starts the backend and waits until it listens.
func (x *chaos) startBackend() {
	x.backend.Lock()
	defer x.backend.Unlock()
	x.backend.Cmd = startProcess(x.t, "backend", x.dir, io.Discard)
	for _, socket := range []string{"/fcgi", "/http"} {
		for range 1000 {
			if c, err := net.Dial("unix", x.dir+socket); err == nil {
				c.Close()
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func (x *chaos) stopBackend() {
	x.backend.Lock()
	defer x.backend.Unlock()
	_ = x.backend.Process.Kill() // SIGKILL
	_ = x.backend.Wait()
}

// killBackends kills the backend while it answers, and starts it again.
func (x *chaos) killBackends(ctx context.Context, c *crowd) {
	var wg sync.WaitGroup
	for pause(ctx, 2*time.Second) {
		c.slowly(&wg)
		pause(ctx, 400*time.Millisecond)
		x.stopBackend()
		pause(ctx, 200*time.Millisecond)
		x.startBackend()
	}
	wg.Wait()
}

// stall has clients that stop reading in the middle, some for longer than the server waits.
func (x *chaos) stall(ctx context.Context, c *crowd) {
	var wg sync.WaitGroup
	for pause(ctx, time.Second) {
		rest := rand.N(8 * time.Second)
		wg.Go(func() {
			c.visit(visit{"stalls", func(c *crowd, _ *http.Client) (int, error) { return c.readSlowly(rest) }, append([]int{500}, noBackend...)}, nil)
		})
	}
	wg.Wait()
}

func (x *chaos) replaceChanging(version int) {
	name := x.dir + "/www/changing"
	if err := os.WriteFile(name+".new", content(version, changingSize), 0o644); err != nil {
		x.t.Error(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		x.t.Error(err)
	}
}

// changeFiles replaces a file, and truncates it while it is sent.
func (x *chaos) changeFiles(ctx context.Context) {
	for version := 1; pause(ctx, 100*time.Millisecond); version++ {
		if version%2 == 0 {
			if err := os.Truncate(x.dir+"/www/changing", changingSize/2); err != nil {
				x.t.Error(err)
			}
			continue
		}
		x.replaceChanging(version % versions)
	}
}

// takeDescriptors opens more connections than the server has descriptors, and says nothing on them.
// A server that gets to accept only a few of them before it closes the first ones, on a machine that
// is busy with other things, gets more until it has run out once.
func (x *chaos) takeDescriptors(ctx context.Context) {
	for pause(ctx, 2*time.Second) {
		conns := x.silent(descriptors + 20)
		pause(ctx, 500*time.Millisecond)
		for len(conns) < 20*descriptors && !x.ranOut() && pause(ctx, 100*time.Millisecond) {
			conns = append(conns, x.silent(descriptors/4)...)
		}
		for _, c := range conns {
			c.Close()
		}
	}
}

// silent opens connections.
func (x *chaos) silent(n int) (conns []net.Conn) {
	for range n {
		if c, err := net.DialTimeout("tcp", x.plain, time.Second); err == nil {
			conns = append(conns, c)
		}
	}
	return conns
}

// ranOut reports whether the server has been without descriptors.
func (x *chaos) ranOut() bool { return strings.Contains(x.log.String(), "too many open files") }

// spoilDocroot takes a directory away, and puts in its place nothing, a file, a link to nothing, one
// to itself, one that leads out, or a FIFO: it can be read by nobody, root among them.
func (x *chaos) spoilDocroot(ctx context.Context) {
	gone := x.dir + "/www/gone"
	instead := []func() error{
		func() error { return nil },
		func() error { return os.WriteFile(gone, []byte("a file"), 0o644) },
		func() error { return os.Symlink("nothing", gone) },
		func() error { return os.Symlink("gone", gone) },
		func() error { return os.Symlink(x.dir, gone) },
		func() error { return syscall.Mkfifo(gone, 0o644) },
	}
	for i := 0; pause(ctx, 300*time.Millisecond); i++ {
		if err := os.Rename(gone, gone+".away"); err != nil {
			x.t.Error(err)
		}
		if err := instead[i%len(instead)](); err != nil {
			x.t.Error(err)
		}
		pause(ctx, 50*time.Millisecond)
		if err := os.Remove(gone); err != nil && !errors.Is(err, os.ErrNotExist) {
			x.t.Error(err)
		}
		if err := os.Rename(gone+".away", gone); err != nil {
			x.t.Error(err)
		}
	}
}

// restore makes everything whole again.
func (x *chaos) restore() {
	x.replaceChanging(0)
	x.writeScript(0)
	if err := x.server.Process.Signal(syscall.SIGHUP); err != nil {
		x.t.Errorf("the server is gone: %v", err)
	}
}

// mountSmall puts a file system of a few pages where the compressed files are kept; it is full soon.
func (x *chaos) mountSmall() {
	small := x.dir + "/small"
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=16k"); err != nil {
		x.t.Logf("without a full disk: mount: %v", err)
		return
	}
	x.small = true
	x.t.Cleanup(func() { _ = syscall.Unmount(small, syscall.MNT_DETACH) }) // the server may still have files open there
	if err := os.WriteFile(filepath.Join(small, "filler"), make([]byte, 64<<10), 0o644); !errors.Is(err, syscall.ENOSPC) {
		x.t.Errorf("the small disk is not full: %v", err)
	}
}

// needs are what the server holds when nobody asks for anything.
type needs struct{ goroutines, descriptors, heap int }

var metricLine = regexp.MustCompile(`(?m)^(go_goroutines|go_memstats_heap_alloc_bytes) (\d+)$`)

func (x *chaos) needs() (n needs) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + x.plain + "/metrics")
	if err != nil {
		x.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	for _, m := range metricLine.FindAllStringSubmatch(string(text), -1) {
		value, _ := strconv.Atoi(m[2])
		if m[1] == "go_goroutines" {
			n.goroutines = value
		} else {
			n.heap = value
		}
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", x.server.Process.Pid))
	if err != nil {
		x.t.Fatal(err)
	}
	n.descriptors = len(fds)
	return n
}

// rest waits until the idle connections have ended, and returns what is left.
func (x *chaos) rest() needs {
	last := x.needs()
	for same := 0; same < 5; {
		time.Sleep(200 * time.Millisecond)
		now := x.needs()
		if same++; now.goroutines != last.goroutines || now.descriptors != last.descriptors {
			same = 0
		}
		last = now
	}
	return last
}

// compare waits until the server holds what it held before, give or take kept connections to the
// backends and what the collector has not seen. Stalled clients and idle connections to backends
// may take their time limits, on a busy machine more.
func (x *chaos) compare(before needs) {
	x.t.Helper()
	now := x.needs()
	for deadline := time.Now().Add(90 * time.Second); ; now = x.needs() {
		if now.goroutines <= before.goroutines+8 && now.descriptors <= before.descriptors+8 && now.heap <= 2*before.heap+(100<<20) {
			break
		}
		if time.Now().After(deadline) {
			_ = x.server.Process.Signal(syscall.SIGQUIT) // has Go write to the log what each goroutine does
			_ = x.server.Wait()
			x.t.Fatalf("what the chaos has left behind does not go: before %+v, now %+v", before, now)
		}
		time.Sleep(10 * time.Millisecond)
	}
	x.t.Logf("before: %+v, after: %+v", before, now)
}

// stop ends the server in an orderly way and looks through its log.
func (x *chaos) stop() {
	x.t.Helper()
	_ = x.server.Process.Signal(syscall.SIGTERM)
	if err := x.server.Wait(); err != nil {
		x.t.Errorf("the server ended with %v", err)
	}
	for line := range strings.Lines(x.log.String()) {
		if strings.Contains(line, "panic") || strings.Contains(line, "DATA RACE") || strings.Contains(line, "fatal error") {
			x.t.Errorf("the log says: %s", line)
		}
	}
	if !x.ranOut() {
		x.t.Error("the descriptors did not run out")
	}
}

func newReader(b []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(b)) }
