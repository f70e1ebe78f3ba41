package explain

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// SignatureHeader is the field of a request that asks a running server to explain it: the
// time in seconds since 1970 and, behind a dot, an HMAC-SHA256 in hexadecimal of that time,
// the method, the host and the target, joined with newlines.
const SignatureHeader = "Luaserve-Explain"

// signatureAge is how long a signature counts, to both sides: clocks differ.
const signatureAge = time.Minute

// minKey is the least length of a key, in bytes.
const minKey = 16

// ReadKey reads a key from a file; white space around it does not count.
func ReadKey(file string) ([]byte, error) {
	key, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("the key cannot be read: %w", err)
	}
	if key = bytes.TrimSpace(key); len(key) < minKey {
		return nil, fmt.Errorf("the key in %q has %d bytes; expected at least %d, as from: openssl rand -hex 32", file, len(key), minKey)
	}
	return key, nil
}

// Sign returns the value of [SignatureHeader] for a request.
func Sign(key []byte, now time.Time, method, host, target string) string {
	seconds := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s\n%s\n%s\n%s", seconds, method, host, target)
	return seconds + "." + hex.EncodeToString(mac.Sum(nil))
}

// Signed reports whether a value of [SignatureHeader] is right for a request, and not old.
func Signed(value string, key []byte, now time.Time, method, host, target string) bool {
	seconds, _, _ := strings.Cut(value, ".")
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return false
	}
	at := time.Unix(n, 0)
	return hmac.Equal([]byte(value), []byte(Sign(key, at, method, host, target))) && now.Sub(at).Abs() <= signatureAge
}

// ErrNotExplained is returned for a server whose script does not explain requests, or has
// another key: it has answered the request as any other.
var ErrNotExplained = errors.New("the server did not explain the request: its script needs action.debug.explain around its actions, with the same key, and a clock that is right to a minute")

// ContentType is that of a [Result] which a server sends.
const ContentType = "application/vnd.luaserve.explain+json"

// Ask has a running server explain a request. server is where it is, "http://127.0.0.1:8080";
// the URL of the request tells host and target. Errors: those of the connection, and
// [ErrNotExplained].
func Ask(ctx context.Context, server string, key []byte, req Request) (*Result, error) {
	ex, err := newExchange(ctx, req)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, ex.Method(), strings.TrimSuffix(server, "/")+ex.target, bytes.NewReader(req.Body))
	if err != nil {
		return nil, fmt.Errorf("the server %q: %w", server, err)
	}
	for _, f := range req.Header {
		r.Header.Add(f.Name, f.Value)
	}
	r.Host = ex.host
	r.Header.Set(SignatureHeader, Sign(key, time.Now(), ex.Method(), ex.host, ex.target))
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.Header.Get("Content-Type") != ContentType {
		return nil, fmt.Errorf("%w; it answered %s", ErrNotExplained, resp.Status)
	}
	var result Result
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<20)).Decode(&result); err != nil {
		return nil, fmt.Errorf("the server's explanation: %w", err)
	}
	return &result, nil
}
