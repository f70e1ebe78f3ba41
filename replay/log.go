// Package replay runs the requests of an access log through two scripts and tells which of
// them are decided differently.
package replay

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"luaserve/explain"
	"luaserve/runtime"
)

// maxLine is the longest line of a log, in bytes.
const maxLine = 1 << 20

// Entry is a request of a log.
type Entry struct {
	Line    int
	Request explain.Request
}

// Read calls f for each request of an access log: lines of JSON as luaserve writes them, or
// the common and combined formats, with or without the virtual host in front or, as in
// luaserve's own format, in the second place. host is the host of requests whose line names
// none. It returns how many lines are no requests, or ones that f refuses, with the first reason.
func Read(r io.Reader, host string, f func(Entry) error) (bad int, first, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			continue
		}
		req, err := parseLine(text, host)
		if err == nil {
			err = f(Entry{n, req})
		}
		if err == nil {
			continue
		}
		if bad++; first == nil {
			first = fmt.Errorf("line %d: %w", n, err)
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return bad, first, fmt.Errorf("a line is longer than %d bytes", maxLine)
	}
	return bad, first, lines.Err()
}

func parseLine(text, host string) (explain.Request, error) {
	if strings.HasPrefix(text, "{") {
		return parseJSON(text, host)
	}
	return parseText(text, host)
}

func parseJSON(text, host string) (explain.Request, error) {
	var line struct {
		Client, Host, Method, Target, Referer string
		UserAgent                             string `json:"user_agent"`
		TLS                                   bool
	}
	if err := json.Unmarshal([]byte(text), &line); err != nil {
		return explain.Request{}, fmt.Errorf("no JSON as the access log has it: %w", err)
	}
	if line.Host != "" {
		host = line.Host
	}
	return request(line.Client, host, line.Method, line.Target, line.Referer, line.UserAgent, line.TLS)
}

const quoted = `"((?:[^"\\]|\\.)*)"`

// textLine is a line of the text formats; before the time there are three or four fields.
var textLine = regexp.MustCompile(`^(\S+) (\S+) (\S+)(?: (\S+))? \[[^\]]*\] ` + quoted + ` (?:\d{3}|-) (?:\d+|-)(?: ` + quoted + ` ` + quoted + `)?`)

func parseText(text, host string) (explain.Request, error) {
	m := textLine.FindStringSubmatch(text)
	if m == nil {
		return explain.Request{}, errors.New("the line is in no known format; expected JSON, or the common or combined format")
	}
	remote, second, vhost := m[1], m[2], ""
	switch {
	case m[4] != "": // vhost remote ident user
		vhost, remote = m[1], m[2]
	case second != "-": // remote vhost user, as luaserve writes it
		vhost = second
	}
	if vhost != "" && vhost != "-" {
		host = vhost
	}
	words := strings.Fields(unescape(m[5]))
	if len(words) < 2 {
		return explain.Request{}, fmt.Errorf("%q is no request line", m[5])
	}
	return request(remote, host, words[0], words[1], unescape(m[6]), unescape(m[7]), false)
}

// request makes the request of a line.
func request(remote, host, method, target, referer, agent string, tls bool) (explain.Request, error) {
	if host == "" {
		return explain.Request{}, errors.New("the line names no host; say which with --host")
	}
	scheme := "http://"
	if tls {
		scheme = "https://"
	}
	if u, err := url.Parse(target); err == nil && u.Host != "" && u.Scheme != "" {
		scheme, host, target = u.Scheme+"://", u.Host, u.RequestURI()
	}
	if method == "" || !strings.HasPrefix(target, "/") {
		return explain.Request{}, fmt.Errorf("%q is no request", method+" "+target)
	}
	req := explain.Request{Method: method, URL: scheme + host + target}
	for _, f := range []runtime.Field{{Name: "Referer", Value: referer}, {Name: "User-Agent", Value: agent}} {
		if f.Value != "" && f.Value != "-" && runtime.ValidFieldValue(f.Value) {
			req.Header = append(req.Header, f)
		}
	}
	if addr, err := explain.ParseRemote(remote); err == nil { // a log may have names of hosts
		req.Remote = addr
	}
	return req, nil
}

// unescape undoes what logs do to quotes and control characters.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			out.WriteByte(s[i])
			continue
		}
		i++
		switch c := s[i]; {
		case c == 'n':
			out.WriteByte('\n')
		case c == 'r':
			out.WriteByte('\r')
		case c == 't':
			out.WriteByte('\t')
		case c == 'x' && i+2 < len(s):
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				out.WriteString(`\x`)
				continue
			}
			out.WriteByte(byte(n))
			i += 2
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}
