// Package http1 is luaserve's own front end for HTTP/1.0 and HTTP/1.1 (RFC 9112).
//
// It exists because the pipeline promises what general servers lose: the order, case and
// duplicates of header fields both ways, the request target byte for byte, and a head
// that is written with the body in one system call. It is strict where leniency lets
// requests be smuggled, and bounded in everything that a client can make it hold.
package http1
