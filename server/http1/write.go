package http1

import (
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"time"

	"luaserve/runtime"
)

// writer gathers a response head and a short body into one system call.
type writer struct {
	rwc     net.Conn
	watched watched // rwc, when a loop watches it
	timeout time.Duration
	buf     []byte
	chunked bool
	limit   int64 // bytes that the body still needs, -1 when it has no length

	flushNow func() // flush without its error, made once
}

// bufferBytes is how much is gathered before it is written.
const bufferBytes = 16 << 10

func (w *writer) flush() error { return w.write(false) }

// write sends what was gathered. more says that the rest of a packet follows at once.
func (w *writer) write(more bool) error {
	if len(w.buf) == 0 {
		return nil
	}
	err := w.send(w.buf, more)
	w.reset()
	return err
}

// reset forgets what was gathered.
func (w *writer) reset() {
	w.buf = w.buf[:0]
	if cap(w.buf) > bufferBytes+1024 {
		w.buf = make([]byte, 0, bufferSize)
	}
}

// A write takes at most this many bytes at a time, so that its timeout is one without
// progress: a client that reads slowly but steadily gets all.
const (
	sendPiece = 64 << 10
	filePiece = 256 << 10 // by sendfile
)

func (w *writer) send(b []byte, more bool) error {
	if w.watched != nil {
		n, err := w.watched.tryWrite(b, more)
		if err != nil && err != errAgain {
			return err
		}
		b = b[n:]
	}
	for len(b) > 0 {
		piece := b[:min(len(b), sendPiece)]
		w.rwc.SetWriteDeadline(time.Now().Add(w.timeout))
		if _, err := w.rwc.Write(piece); err != nil {
			return err
		}
		b = b[len(piece):]
	}
	return nil
}

var errLength = errors.New("the body does not have the length that was promised")

// Write adds body bytes.
func (w *writer) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if w.limit >= 0 {
		if int64(len(p)) > w.limit {
			return 0, errLength
		}
		w.limit -= int64(len(p))
	}
	if w.chunked {
		w.buf = strconv.AppendInt(w.buf, int64(len(p)), 16)
		w.buf = append(w.buf, "\r\n"...)
	}
	if err := w.add(p); err != nil {
		return 0, err
	}
	if w.chunked {
		w.buf = append(w.buf, "\r\n"...)
	}
	return len(p), nil
}

// add gathers p, or sends it at once when it is long.
func (w *writer) add(p []byte) error {
	if len(w.buf)+len(p) <= bufferBytes {
		w.buf = append(w.buf, p...)
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	if len(p) > bufferBytes {
		return w.send(p, false)
	}
	w.buf = append(w.buf, p...)
	return nil
}

// SendFile implements [runtime.FileSender]. A short part of a file is read to where it is sent
// from, behind the head; a long one is copied by the kernel (sendfile).
func (w *writer) SendFile(f runtime.SentFile, off, n int64) (sent int64, err error) {
	if w.limit >= 0 && n > w.limit {
		return 0, errLength
	}
	if !w.chunked && len(w.buf)+int(n) <= bufferBytes {
		return w.readFile(f, off, n)
	}
	if w.chunked || n <= bufferBytes || !w.canSend(f, off) {
		return io.Copy(struct{ io.Writer }{w}, io.NewSectionReader(f, off, n))
	}
	if err := w.write(w.watched != nil); err != nil {
		return 0, err
	}
	for sent < n {
		k, err := w.sendPart(f, off+sent, min(n-sent, filePiece))
		sent += k
		w.took(k)
		if err != nil || k == 0 {
			return sent, err
		}
	}
	return sent, nil
}

func (w *writer) took(n int64) {
	if w.limit >= 0 {
		w.limit -= n
	}
}

func (w *writer) readFile(f io.ReaderAt, off, n int64) (int64, error) {
	w.buf = slices.Grow(w.buf, int(n))
	k, err := f.ReadAt(w.buf[len(w.buf):len(w.buf)+int(n)], off)
	w.buf = w.buf[:len(w.buf)+k]
	w.took(int64(k))
	if err == io.EOF {
		err = nil // the caller knows how much was wanted
	}
	return int64(k), err
}

// canSend reports whether sendPart can send a file, from an offset on.
func (w *writer) canSend(f runtime.SentFile, off int64) bool {
	if w.watched != nil {
		return true
	}
	_, ok := w.rwc.(io.ReaderFrom)
	if _, shared := f.Shared(); !ok || shared {
		return false
	}
	_, err := f.Seek(off, io.SeekStart)
	return err == nil
}

// sendPart has the kernel send the next part of a file.
func (w *writer) sendPart(f runtime.SentFile, off, n int64) (int64, error) {
	if w.watched != nil {
		return w.watched.sendFile(f, off, n, w.timeout)
	}
	w.rwc.SetWriteDeadline(time.Now().Add(w.timeout))
	return w.rwc.(io.ReaderFrom).ReadFrom(&io.LimitedReader{R: f.File, N: n})
}

// end completes the body, of which the last part may still have to be flushed. trailer are
// fields for behind it; only chunks have room for them.
func (w *writer) end(trailer []runtime.Field) error {
	if w.chunked {
		w.buf = append(w.buf, "0\r\n"...)
		for _, f := range trailer {
			if runtime.ValidFieldName(f.Name) && runtime.ValidFieldValue(f.Value) {
				w.buf = appendField(w.buf, f.Name, f.Value)
			}
		}
		w.buf = append(w.buf, "\r\n"...)
	}
	if w.limit > 0 {
		return errLength
	}
	return nil
}

// respond sends the answer and reports whether the connection can go on. The request ends
// before the last bytes of its answer go out: whoever has all of an answer finds that it
// counts as answered, for a limit.con or in a status page.
func (c *conn) respond(reply *runtime.Reply) bool {
	h, w := &c.head, &c.out
	w.timeout = c.limits.WriteTimeout
	if reply.Upgrade() != "" {
		c.upgrade(reply)
		return false
	}
	noBody := h.method == "HEAD" || reply.Status == 204 || reply.Status == 304 || reply.Status == 205
	keep := h.keepAlive && !c.srv.closing.Load()
	if reply.Header.Get("Connection") == "close" {
		keep = false
	}
	if c.body != nil && c.body.answered() {
		keep = false
	}
	if !c.mayGoOn(reply) {
		keep = false
	}
	w.chunked = reply.Length < 0 && !noBody && h.proto == "HTTP/1.1"
	if reply.Length < 0 && !noBody && !w.chunked {
		keep = false // the end of the connection is the end of the body
	}
	w.limit = -1
	c.writeHead(reply, keep, noBody)
	if noBody {
		c.finish(reply)
		return c.sendLast(keep) == nil && keep
	}
	if reply.Length >= 0 {
		w.limit = reply.Length
	}
	if err := reply.WriteBody(w, w.flushNow); err != nil {
		w.flush()
		c.abort(err)
		return false
	}
	err := w.end(reply.Trailer())
	if err == nil {
		c.finish(reply)
		err = c.sendLast(keep)
	}
	if err != nil {
		c.abort(err)
		return false
	}
	return keep
}

// mayGoOn counts an answer and reports whether the script lets the connection have another.
func (c *conn) mayGoOn(reply *runtime.Reply) bool {
	idle, requests := reply.KeepAlive()
	if c.idle = c.limits.IdleTimeout; idle > 0 {
		c.idle = idle
	}
	c.served++
	if c.last != nil && c.last() {
		return false
	}
	return requests == 0 || c.served < requests
}

// abort cuts the connection so that the client can tell that the answer is incomplete: a
// body that ends with the connection needs a reset, also below TLS and without its
// close_notify. A unix socket cannot be reset; there a HTTP/1.0 client cannot tell.
func (c *conn) abort(err error) {
	if errors.Is(err, errLength) {
		c.srv.log.Error("response cut", "error", err, "target", c.head.target)
	}
	if c.head.proto != "HTTP/1.0" {
		return
	}
	below := c.rwc
	for {
		t, ok := below.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		below = t.NetConn()
	}
	if t, ok := below.(interface{ SetLinger(int) error }); ok {
		t.SetLinger(0)
	}
	below.Close() // so that the lingering close cannot end it in an orderly way first
}

func (c *conn) writeHead(reply *runtime.Reply, keep, noBody bool) {
	w := &c.out
	b := append(w.buf, c.head.proto...)
	b = appendStatus(b, reply.Status)
	dated := false
	for name, value := range reply.Header.All() {
		if name == "Connection" || !runtime.ValidFieldValue(value) {
			continue
		}
		dated = dated || len(name) == 4 && (name == "Date" || name == "date")
		b = appendField(b, name, value)
	}
	if !dated {
		b = appendField(b, "Date", c.srv.clock.date(c.now()))
	}
	switch {
	case reply.Status == 205:
		b = append(b, "Content-Length: 0\r\n"...) // it may not have a body, but is not without one by itself (RFC 9112, 6.3)
	case reply.Length >= 0 && reply.Status >= 200 && reply.Status != 204 && reply.Status != 304:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, reply.Length, 10)
		b = append(b, "\r\n"...)
	case w.chunked:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	switch protocol := reply.Upgrade(); {
	case protocol != "":
		b = appendField(b, "Connection", "Upgrade")
		b = appendField(b, "Upgrade", protocol)
	case !keep && c.head.proto == "HTTP/1.1":
		b = append(b, "Connection: close\r\n"...)
	case keep && c.head.proto == "HTTP/1.0":
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	w.buf = append(b, "\r\n"...)
}

func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}

func appendStatus(b []byte, status int) []byte {
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, runtime.StatusText(status)...)
	return append(b, "\r\n"...)
}

func (c *conn) writeContinue() error {
	c.rwc.SetWriteDeadline(time.Now().Add(c.limits.WriteTimeout))
	_, err := io.WriteString(c.rwc, "HTTP/1.1 100 Continue\r\n\r\n")
	return err
}

// refuse answers a request that never reaches the pipeline, and ends the connection.
func (c *conn) refuse(e *headError) {
	c.srv.log.Info("request refused", "status", e.status, "error", e.msg, "remote", c.peer.Remote.String())
	c.head.proto, c.head.contentLength, c.head.keepAlive = e.proto, 0, false
	c.body, c.finished = nil, false
	reply := c.srv.refuse(c, e.status)
	c.respond(reply)
	c.finish(reply)
}
