package httpproxy

import (
	"errors"
	"io"
	"strconv"
	"sync"
	"time"

	"luaserve/bindings/upstream"
)

const (
	// uploadPiece is how much of a request body is read and sent at a time, in bytes.
	uploadPiece = 32 << 10
	// chunkHead is room for the size of a chunk and its line break.
	chunkHead = 8
)

var uploadBuffers = sync.Pool{New: func() any { return new([chunkHead + uploadPiece + 2]byte) }}

// exchangeUploading sends a request whose body is long or of unknown length. Meanwhile another
// goroutine waits for the head of the response: an upstream may refuse before it has read
// everything. The body itself is read by the caller's goroutine only, until this returns.
func (cn *conn) exchangeUploading(r *Request, w *wire, h *head) error {
	cn.watch()
	answered := make(chan error, 1)
	cn.uploading.Store(true)
	upgrade := r.Upgrade
	go func() {
		err := cn.readHead(upgrade, h)
		cn.answerCame(h, err)
		answered <- err
	}()

	bodyErr, sendErr := cn.upload(r, w)
	now := time.Now()
	cn.uploadEnded.Store(&now)
	cn.uploading.Store(false)
	cn.whole = bodyErr == nil && sendErr == nil
	var e *Error
	switch {
	case bodyErr != nil:
		// the upstream must not take what it got for the whole
		e = &Error{Proto: proto, Op: "upload", Addr: cn.config.Address, Kind: upstream.BadRequest, Sent: true, Err: bodyErr}
	case sendErr != nil && upstream.IsTimeout(sendErr) && cn.progress.Load() == noAnswer:
		e = cn.fault("send", sendErr)
	}
	if e != nil {
		cn.Net.Close()
		<-answered
		return e
	}
	if err := <-answered; err != nil {
		return cn.fault("head", err)
	}
	cn.Rearm()
	return nil
}

// answerCame tells the upload what the answer means for it.
func (cn *conn) answerCame(h *head, err error) {
	if err != nil || h.status >= 400 {
		cn.progress.Store(refused)
		cn.Net.SetWriteDeadline(time.Unix(1, 0))
		return
	}
	cn.progress.Store(accepted)
	cn.Net.SetWriteDeadline(time.Now().Add(cn.config.RefusedTimeout))
}

var errRefused = errors.New("the upstream does not want the rest of the request")

// Write sends a piece of the request within the send timeout, as long as the upstream wants it.
func (cn *conn) Write(p []byte) (int, error) {
	if t := cn.config.SendTimeout; t > 0 {
		cn.Net.SetWriteDeadline(time.Now().Add(t))
	}
	// behind setting the deadline, so that it cannot undo the one that answerCame sets
	switch cn.progress.Load() {
	case refused:
		return 0, errRefused
	case accepted:
		cn.Net.SetWriteDeadline(time.Now().Add(cn.config.RefusedTimeout))
	}
	return cn.Net.Write(p)
}

// upload sends the head and the body. It tells apart whether the body or sending failed.
func (cn *conn) upload(r *Request, w *wire) (bodyErr, sendErr error) {
	if _, err := cn.Write(w.bytes); err != nil {
		return nil, err
	}
	mem := uploadBuffers.Get().(*[chunkHead + uploadPiece + 2]byte)
	defer uploadBuffers.Put(mem)
	for left := r.Length; left != 0; {
		if cn.progress.Load() == refused {
			return nil, errRefused
		}
		room := mem[chunkHead : chunkHead+uploadPiece]
		if left > 0 && left < uploadPiece {
			room = room[:left]
		}
		n, err := r.Body.Read(room)
		if n > 0 {
			piece := room[:n]
			if left < 0 {
				piece = asChunk(mem, n)
			} else {
				left -= int64(n)
			}
			if _, err := cn.Write(piece); err != nil {
				return nil, err
			}
		}
		switch {
		case err == io.EOF && left < 0:
			_, err := io.WriteString(cn, "0\r\n\r\n")
			return nil, err
		case err != nil && left != 0:
			return shortBody(err), nil
		}
	}
	return nil, nil
}

// asChunk puts the frame of a chunk around the n bytes in mem (RFC 9112 section 7.1).
func asChunk(mem *[chunkHead + uploadPiece + 2]byte, n int) []byte {
	var digits [chunkHead]byte
	size := append(strconv.AppendInt(digits[:0], int64(n), 16), "\r\n"...)
	start := chunkHead - len(size)
	copy(mem[start:], size)
	end := chunkHead + n
	copy(mem[end:], "\r\n")
	return mem[start : end+2]
}
