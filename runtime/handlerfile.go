package runtime

import (
	"fmt"
	goruntime "runtime"
	"sync"
	"time"

	"luaserve/runtime/luaio"
)

// handlerFile is the action of lua.handler: a file with a heap of its own, loaded on
// first use and again when it changed.
type handlerFile struct {
	prog *Program
	name string
	from string
	ttl  time.Duration
	args Value

	sandbox Sandbox
	files   luaio.Options // how the script that names it gets at files

	mu      sync.Mutex
	root    *Node
	heap    *heap
	checked time.Time
	modTime time.Time
	failed  error // of the last attempt to load it, until retry
	retry   time.Time
}

const maxHandlerDepth = 8

// Run loads the file if need be and runs its actions.
func (h *handlerFile) Run(vr *VRequest) error {
	if vr.handlerDepth++; vr.handlerDepth > maxHandlerDepth {
		return fmt.Errorf("lua.handler %s: more than %d handler files within each other: does one name itself?", h.name, maxHandlerDepth)
	}
	defer func() { vr.handlerDepth-- }()
	root, err := h.current()
	if err != nil {
		return err
	}
	return root.Run(vr)
}

// loaded returns the actions of the file, nil before it was needed.
func (h *handlerFile) loaded() *Node {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.root
}

func (h *handlerFile) current() (*Node, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	full := h.heap.isFull()
	if h.root != nil && !full && (h.ttl == 0 || time.Since(h.checked) < h.ttl) {
		return h.root, nil
	}
	path := h.prog.resolve(h.name, h.from)
	modTime := Stat(path).ModTime
	h.checked = time.Now()
	if h.root != nil && !full && modTime.Equal(h.modTime) {
		return h.root, nil
	}
	if h.failed != nil && modTime.Equal(h.modTime) && h.checked.Before(h.retry) {
		return nil, h.failed
	}
	root, err := h.load(path)
	h.failed = err
	if err != nil {
		h.rest()
		if h.root == nil {
			h.modTime = modTime
			return nil, err
		}
		h.prog.log.Error("the handler could not be loaded again; the old one goes on", "error", err)
		return h.root, nil
	}
	h.root, h.modTime = root, modTime
	return h.root, nil
}

// rest keeps requests from waiting for a file that takes long to fail: unless it changes, it is
// tried again when ten times as long has passed.
func (h *handlerFile) rest() {
	const rest = 10
	now := time.Now()
	h.retry = now.Add(rest * now.Sub(h.checked))
}

func (h *handlerFile) load(path string) (*Node, error) {
	l := newLoad(h.prog, false, h.sandbox)
	globals, err := l.run(h.files, path, l.st.toLua(h.args))
	if err != nil {
		l.st.close()
		return nil, err
	}
	root, err := l.pipeline(globals, path)
	if err != nil {
		l.st.close()
		return nil, err
	}
	l.finish(goruntime.GOMAXPROCS(0))
	h.prog.dropHeap(h.heap)
	h.heap = l.st.heap
	return root, nil
}
