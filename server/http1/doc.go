// Package http1 is luaserve's own front end for HTTP/1.0 and HTTP/1.1 (RFC 9112).
//
// It exists because the pipeline promises what general servers lose: the order, case and
// duplicates of header fields both ways, the request target byte for byte, the version and
// status of an answer to nonsense, and a head that is written with the body in one system
// call. It is strict where leniency lets requests be smuggled, and bounded in everything
// that a client can make it hold.
//
// On Linux a few loops serve all plain connections, one a processor, so that a connection
// between two requests has neither a goroutine nor buffers; a request that waits goes on in
// the goroutine that it began in, and another one takes the loop (see loop). What a loop reads
// and sends for many sessions it reads and sends in one system call (see ring). Elsewhere, and
// with TLS, each connection has a goroutine.
//
// What was tried first: net/http keeps header fields in a map, so their order and case are
// gone, and cost 10 µs of CPU for a short fixed answer where this package costs 6 (one
// machine, three rounds in turn, wrk with 16 connections; nginx 4). fasthttp v1.78 costs 6
// as well, but joins two Content-Type fields into one, moves Set-Cookie to the end, and
// owns the Date field, all of which scripts can set. net/http stays the way to embed a
// program, [runtime.Program] being an http.Handler, and what speaks HTTP/2.
package http1
