package tests

import (
	"strings"
	"testing"
)

// behindIt is what an attacker wants to be taken for a request of its own.
const behindIt = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

// Requests that two servers in a row could tell apart in two ways (RFC 9112, 11.2) are refused,
// and the connection ends: what is behind them is never a request.
func TestSmuggling(t *testing.T) {
	r := run(t, `
		setup.listen "$A"
		actions = { when(request.path:eq "/smuggled", respond "smuggled"), function(vr)
			local body = vr["in"]:read() or ""
			if vr:handle_direct() then vr.resp.status = 200; vr.out:add("[" .. body .. "]") end
		end }`)
	const (
		post    = "POST / HTTP/1.1\r\nHost: a\r\n"
		chunked = post + "Transfer-Encoding: chunked\r\n\r\n"
	)
	for raw, want := range map[string]int{
		// length and chunks
		post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n":                        400,
		post + "Transfer-Encoding: chunked\r\nContent-Length: 38\r\n\r\n0\r\n\r\n":                       400,
		post + "Content-Length: 0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n":                        400,
		post + "Content-Length: 3\r\nTransfer-Encoding: identity\r\n\r\nabc":                             501,
		post + "Content-Length: 3\r\nTransfer-Encoding:\r\n\r\nabc":                                      501,
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 38\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": 400,

		// lengths
		post + "Content-Length: 3\r\nContent-Length: 38\r\n\r\nabc":         400,
		post + "Content-Length: 3\r\ncontent-length: 3\r\n\r\nabc":          400,
		post + "Content-Length: 3, 3\r\n\r\nabc":                            400,
		post + "Content-Length: 3,38\r\n\r\nabc":                            400,
		post + "Content-Length:\r\n\r\nabc":                                 400,
		post + "Content-Length: +3\r\n\r\nabc":                              400,
		post + "Content-Length: -3\r\n\r\nabc":                              400,
		post + "Content-Length: 0x3\r\n\r\nabc":                             400,
		post + "Content-Length: 3.0\r\n\r\nabc":                             400,
		post + "Content-Length: 3e0\r\n\r\nabc":                             400,
		post + "Content-Length: 3 3\r\n\r\nabc":                             400,
		post + "Content-Length: 3;x\r\n\r\nabc":                             400,
		post + "Content-Length: \"3\"\r\n\r\nabc":                           400,
		post + "Content-Length: \xef\xbc\x93\r\n\r\nabc":                    400, // full-width 3
		post + "Content-Length: 3\x00\r\n\r\nabc":                           400,
		post + "Content-Length: 3\x0b\r\n\r\nabc":                           400,
		post + "Content-Length: 18446744073709551619\r\n\r\nabc":            413, // 3, of 64 bits
		post + "Content-Length: 1\r\n 2\r\n\r\nabc":                         400,
		post + "Content_Length: 38\r\nContent-Length: +\r\n\r\n":            400,
		post + "Content-Length : 3\r\n\r\nabc":                              400,
		post + "Content-Length\t: 3\r\n\r\nabc":                             400,
		post + " Content-Length: 3\r\n\r\nabc":                              400,
		post + "\x00Content-Length: 3\r\n\r\nabc":                           400,
		post + "Content-Length\x00: 3\r\n\r\nabc":                           400,
		post + "Content-Length: 3\nX: y\r\n\r\nabc":                         400,
		post + "Content-Length: 3\rX: y\r\n\r\nabc":                         400,
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc":         400,
		"POST / HTTP/1.1\nHost: a\nContent-Length: 3\n\nabc":                400,
		"POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n0\r\n\r\n": 400,

		// encodings
		post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n":                               501,
		post + "Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n":                               501,
		post + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n":                      501,
		post + "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n":                      501,
		post + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n":                       501,
		post + "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n":                               501,
		post + "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n":                            501,
		post + "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n":                            501,
		post + "Transfer-Encoding: 'chunked'\r\n\r\n0\r\n\r\n":                              501,
		post + "Transfer-Encoding: chu\xc5\xb3ked\r\n\r\n0\r\n\r\n":                         501,
		post + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n":                            400,
		post + "Transfer-Encoding: chunked\x00\r\n\r\n0\r\n\r\n":                            400,
		post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n":                               400,
		post + "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n":                              400,
		post + "X: y\r\n\tTransfer-Encoding : chunked\r\nTransfer-Encoding: x\r\n\r\n":      501,
		post + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n":                            400,
		post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n":  400,
		post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n": 501,
		post + "Transfer-Encoding: chunked\r\ntransfer-encoding: x\r\n\r\n0\r\n\r\n":        501,
		"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n":         400,

		// lines of the head
		"POST / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n":                 400,
		"POST / HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n":              400,
		"POST / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n":                   400,
		"POST / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n":           400,
		"POST / HTTP/1.1\r\nHost: a\r\nX: a\rGET /smuggled\r\n\r\n": 400,
		"POST / HTTP/1.1\r\nHost: a\r\nX: y\n\r\n":                  400,
		"POST / HTTP/1.1\nHost: a\r\n\r\n":                          400,
		"POST / HTTP/1.1\r\nHost: a\n\n":                            400,
		"POST / HTTP/1.1\r\r\nHost: a\r\n\r\n":                      400,
		"POST / HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n":               400,
		"POST /\x00 HTTP/1.1\r\nHost: a\r\n\r\n":                    400,
		"POST / HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n":               400,
		"POST / HTTP/1.1\x00\r\nHost: a\r\n\r\n":                    400,
		"POST\t/\tHTTP/1.1\r\nHost: a\r\n\r\n":                      400,
		"POST  / HTTP/1.1\r\nHost: a\r\n\r\n":                       400,
		"POST / HTTP/01.1\r\nHost: a\r\n\r\n":                       400,
		"POST / HTTP/1.10\r\nHost: a\r\n\r\n":                       400,
		"POST / HTTP/2.0\r\nHost: a\r\n\r\n":                        505,
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":                          505,
		"POST / http/1.1\r\nHost: a\r\n\r\n":                        400,
		"P\x00ST / HTTP/1.1\r\nHost: a\r\n\r\n":                     400,

		// chunks
		chunked + "3\r\nabc\r\n0\n\n":                                 400,
		chunked + "3\nabc\r\n0\r\n\r\n":                               400,
		chunked + "3\r\nabc\n0\r\n\r\n":                               400,
		chunked + "3\r\nabcd\r\n0\r\n\r\n":                            400,
		chunked + "3\r\nabc0\r\n\r\n":                                 400,
		chunked + "3\rXabc\r\n0\r\n\r\n":                              400,
		chunked + "\r\n\r\n":                                          400,
		chunked + "-1\r\n\r\n":                                        400,
		chunked + "+3\r\nabc\r\n0\r\n\r\n":                            400,
		chunked + "0x3\r\nabc\r\n0\r\n\r\n":                           400,
		chunked + "3 \r\nabc\r\n0\r\n\r\n":                            400,
		chunked + " 3\r\nabc\r\n0\r\n\r\n":                            400,
		chunked + "g\r\nabc\r\n0\r\n\r\n":                             400,
		chunked + "3;x=y\r\nabc\r\n0\r\n\r\n":                         400, // extensions, CVE-2023-39326
		chunked + "3;\nabc\r\n0\r\n\r\n":                              400,
		chunked + "0;x\r\n\r\n":                                       400,
		chunked + "fffffffffffffff\r\nabc":                            413,
		chunked + "10000000000000003\r\nabc\r\n0\r\n\r\n":             400, // 3, of 64 bits
		chunked + "0000000000000000000003\r\nabc\r\n0\r\n\r\n":        400,
		chunked + "3;" + strings.Repeat("x", 1<<20) + "\r\nabc":       400,
		chunked + "0\r\nX: y\n\n":                                     400,
		chunked + "0\r\nX: y\n\r\n":                                   400,
		chunked + "0\r\nX: a\rb\r\n\r\n":                              400,
		chunked + "0\r\n\n":                                           400,
		chunked + "0\r\n\rX":                                          400,
		chunked + "0\r\nX: a\x00b\r\n\r\n":                            400,
		chunked + "0\r\nX : y\r\n\r\n":                                400,
		chunked + "0\r\nno field\r\n\r\n":                             400,
		chunked + "0\r\n" + strings.Repeat("X: y\r\n", 5000) + "\r\n": 400,
	} {
		answers := sendRaw(t, r.addr(0), raw+behindIt)
		if len(answers) != 1 || answers[0].status != want || strings.Contains(string(answers[0].body), "smuggled") {
			t.Errorf("%.120q: want one answer with status %d, got:", raw, want)
			for _, a := range answers {
				t.Errorf("    %s %.40q", a.describe(), a.body)
			}
		}
	}
}

// What is odd but clear is served, and the next request behind it as well.
func TestOddFraming(t *testing.T) {
	r := run(t, `
		setup.listen "$A"
		actions = function(vr)
			local body = vr["in"]:read() or ""
			if vr:handle_direct() then vr.resp.status = 200; vr.out:add("[" .. body .. "]" .. (vr.req.headers["X"] or "")) end
		end`)
	const post = "POST / HTTP/1.1\r\nHost: a\r\n"
	for raw, want := range map[string]string{
		post + "Content-Length: 003\r\n\r\nabc":                                                                       "[abc]",
		post + "Content-Length:3 \r\n\r\nabc":                                                                         "[abc]",
		post + "cOnTent-lEngth:\t3\r\n\r\nabc":                                                                        "[abc]",
		post + "Transfer-Encoding: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n":                                              "[abc]",
		post + "Transfer-Encoding: chunked\r\n\r\n003\r\nabc\r\nA\r\n0123456789\r\n00\r\n\r\n":                        "[abc0123456789]",
		post + "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 99\r\nTransfer-Encoding: x\r\nHost: b\r\n\r\n": "[]", // trailers frame nothing
		post + "Content-Length: 0\r\nX: a\r\n  b\r\n\r\n":                                                             "[]a b",
		"\r\n\r\n" + post + "Content-Length: 0\r\n\r\n":                                                               "[]",
		"GET / HTTP/1.1\nHost: a\nX: y\n\n":                                                                           "[]y", // as lighttpd2 and RFC 9112, 2.2
	} {
		answers := sendRaw(t, r.addr(0), raw+"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: next\r\n\r\n")
		if len(answers) != 2 || string(answers[0].body) != want || string(answers[1].body) != "[]next" {
			t.Errorf("%.120q: want %q and the next answer, got:", raw, want)
			for _, a := range answers {
				t.Errorf("    %s %.40q", a.describe(), a.body)
			}
		}
	}
}
