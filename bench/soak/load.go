package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// load is a crowd of clients.
type load struct {
	site     *site
	options  options
	clients  []*http.Client // HTTP/1.1, HTTP/1.1 with TLS, HTTP/2
	large    []byte
	requests atomic.Int64

	mu        sync.Mutex
	latencies []time.Duration // since the last sample
	failures  []error
	failed    int
}

func newLoad(s *site, o options) *load {
	l := &load{site: s, options: o, large: large()}
	roots := x509.NewCertPool()
	roots.AddCert(s.certificate)
	for _, secure := range []struct{ tls, h2 bool }{{}, {tls: true}, {tls: true, h2: true}} {
		addr := s.plain
		tr := &http.Transport{MaxIdleConnsPerHost: o.clients, IdleConnTimeout: 2 * time.Second, DisableCompression: true, Protocols: &http.Protocols{}}
		tr.Protocols.SetHTTP1(!secure.h2)
		tr.Protocols.SetHTTP2(secure.h2)
		if secure.tls {
			addr = s.secure
			tr.TLSClientConfig = &tls.Config{RootCAs: roots}
		}
		tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		}
		l.clients = append(l.clients, &http.Client{Transport: tr, Timeout: 30 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }})
	}
	return l
}

// deed is one thing that a client does. Those that expect an answer compare it.
type deed struct {
	weight int
	do     func(ctx context.Context, l *load, c *http.Client) error
}

var deeds = []deed{
	{20, get("/fixed", 200, "hello, world")},
	{20, echo},
	{10, get("/fastcgi", 200, upstreamBody)},
	{10, get("/proxy", 200, upstreamBody)},
	{10, rangeOfFile},
	{4, wholeFile},
	{4, compressed},
	{4, get("/none", 404, "")},
	{2, get("/fails", 500, "")},
	{2, leaveEarly},
	{1, slowly},
	{1, garbage},
}

// any returns one of the deeds, according to their weights.
func anyDeed() deed {
	sum := 0
	for _, d := range deeds {
		sum += d.weight
	}
	n := rand.IntN(sum)
	for _, d := range deeds {
		if n -= d.weight; n < 0 {
			return d
		}
	}
	panic("the weights have another sum")
}

// once does each of them over each protocol.
func (l *load) once(ctx context.Context) error {
	var errs []error
	for _, d := range deeds {
		for _, c := range l.clients {
			errs = append(errs, d.do(ctx, l, c))
		}
	}
	l.closeIdle()
	return errors.Join(errs...)
}

// run has the clients work until ctx ends. Together they keep to the rate, as far as the
// server lets them.
func (l *load) run(ctx context.Context) {
	pause := time.Duration(l.options.clients) * time.Second / time.Duration(l.options.rate)
	var wg sync.WaitGroup
	for range l.options.clients {
		wg.Go(func() {
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				// a request that began ends: the end of the load is no error
				if err := anyDeed().do(context.WithoutCancel(ctx), l, l.clients[rand.IntN(len(l.clients))]); err != nil {
					l.fail(err)
				}
				l.requests.Add(1)
			}
		})
	}
	wg.Wait()
	l.closeIdle()
}

func (l *load) closeIdle() {
	for _, c := range l.clients {
		c.CloseIdleConnections()
	}
}

func (l *load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed++; len(l.failures) < 20 {
		l.failures = append(l.failures, err)
	}
}

// wrong says how many answers were not what they must be, with the first ones.
func (l *load) wrong() failures {
	l.mu.Lock()
	defer l.mu.Unlock()
	return failures{Count: l.failed, First: slices.Clone(l.failures)}
}

// percentiles returns those of the latencies since the last call.
func (l *load) percentiles() (p50, p99 time.Duration, n int) {
	l.mu.Lock()
	all := l.latencies
	l.latencies = nil
	l.mu.Unlock()
	if len(all) == 0 {
		return 0, 0, 0
	}
	slices.Sort(all)
	return all[len(all)/2], all[len(all)*99/100], len(all)
}

// ask sends a request and reads its whole answer. Bodies of an odd length are sent in chunks.
func (l *load) ask(ctx context.Context, c *http.Client, method, target string, body []byte, header ...string) (*http.Response, []byte, error) {
	scheme := "http://"
	if c != l.clients[0] {
		scheme = "https://"
	}
	req, err := http.NewRequestWithContext(ctx, method, scheme+hostName+target, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	if len(body)%2 == 1 {
		req.ContentLength = -1 // in chunks
	}
	began := time.Now()
	resp, err := c.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, nil, fmt.Errorf("%s %s: %w", method, target, err)
	}
	l.mu.Lock()
	l.latencies = append(l.latencies, time.Since(began))
	l.mu.Unlock()
	return resp, got, nil
}

func compare(resp *http.Response, status int, got, want []byte) error {
	if resp.StatusCode != status {
		return fmt.Errorf("%s %s: expected status %d, got %d", resp.Proto, resp.Request.URL, status, resp.StatusCode)
	}
	if want != nil && !bytes.Equal(got, want) {
		return fmt.Errorf("%s %s: expected %d bytes %.40q, got %d bytes %.40q", resp.Proto, resp.Request.URL, len(want), want, len(got), got)
	}
	return nil
}

// get asks for a path; an empty want stands for any body.
func get(path string, status int, want string) func(context.Context, *load, *http.Client) error {
	return func(ctx context.Context, l *load, c *http.Client) error {
		resp, got, err := l.ask(ctx, c, "GET", path, nil)
		if err != nil {
			return err
		}
		if want == "" {
			return compare(resp, status, got, nil)
		}
		return compare(resp, status, got, []byte(want))
	}
}

// echo sends a body of some length to Lua, with a length or in chunks.
func echo(ctx context.Context, l *load, c *http.Client) error {
	n := rand.IntN(20_000)
	sent := bytes.Repeat([]byte("echo "), n/5)
	query := fmt.Sprint("n=", n)
	resp, got, err := l.ask(ctx, c, "POST", "/lua?"+query, sent)
	if err != nil {
		return err
	}
	return compare(resp, 200, got, append([]byte(query+":"), bytes.ToUpper(sent)...))
}

func wholeFile(ctx context.Context, l *load, c *http.Client) error {
	resp, got, err := l.ask(ctx, c, "GET", "/large.bin", nil)
	if err != nil {
		return err
	}
	return compare(resp, 200, got, l.large)
}

func rangeOfFile(ctx context.Context, l *load, c *http.Client) error {
	from := rand.IntN(len(l.large))
	to := min(from+rand.IntN(10_000), len(l.large)-1)
	resp, got, err := l.ask(ctx, c, "GET", "/large.bin", nil, "Range", fmt.Sprintf("bytes=%d-%d", from, to))
	if err != nil {
		return err
	}
	return compare(resp, 206, got, l.large[from:to+1])
}

func compressed(ctx context.Context, l *load, c *http.Client) error {
	resp, got, err := l.ask(ctx, c, "GET", "/filtered", nil, "Accept-Encoding", "gzip")
	if err != nil {
		return err
	}
	z, err := gzip.NewReader(bytes.NewReader(got))
	if err != nil {
		return fmt.Errorf("/filtered: %w", err)
	}
	if got, err = io.ReadAll(z); err != nil {
		return fmt.Errorf("/filtered: %w", err)
	}
	return compare(resp, 200, got, []byte(strings.Repeat("filtered ", 500)))
}

// leaveEarly begins to read a file and goes.
func leaveEarly(ctx context.Context, l *load, c *http.Client) error {
	scheme := "http://"
	if c != l.clients[0] {
		scheme = "https://"
	}
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	req, err := http.NewRequestWithContext(ctx, "GET", scheme+hostName+"/large.bin", nil)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got := make([]byte, 1000)
	if _, err := io.ReadFull(resp.Body, got); err != nil {
		return err
	}
	return compare(resp, 200, got, l.large[:1000])
}

// slowly sends a request a byte at a time.
func slowly(_ context.Context, l *load, _ *http.Client) error {
	return l.talk(func(c net.Conn) error {
		for _, b := range []byte("GET /fixed HTTP/1.0\r\nHost: " + hostName + "\r\n\r\n") {
			if _, err := c.Write([]byte{b}); err != nil {
				return err
			}
			time.Sleep(5 * time.Millisecond)
		}
		got, err := io.ReadAll(c)
		if err == nil && !bytes.HasSuffix(got, []byte("\r\n\r\nhello, world")) {
			err = fmt.Errorf("a slow request: got %.200q", got)
		}
		return err
	})
}

// garbage sends what is no request. There is nothing to expect but an end.
func garbage(_ context.Context, l *load, _ *http.Client) error {
	return l.talk(func(c net.Conn) error {
		junk := make([]byte, 1+rand.IntN(3000))
		for i := range junk {
			junk[i] = byte(rand.Uint32())
		}
		_, _ = c.Write(append(junk, "\r\n\r\n"...))
		got, _ := io.ReadAll(c)
		if bytes.Contains(got, []byte("HTTP/1.1 200")) {
			return fmt.Errorf("garbage %.100q was answered: %.100q", junk, got)
		}
		return nil
	})
}

// talk is for clients that net/http has none of.
func (l *load) talk(do func(net.Conn) error) error {
	c, err := net.Dial("tcp", l.site.plain)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	return do(c)
}
