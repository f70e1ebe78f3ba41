// Package fcgi is a FastCGI client: it carries requests of a web server to FastCGI
// applications over TCP or unix sockets and gives their answers back as streams.
//
// A [Client] stands for one backend address. [Client.Do] sends a [Request] and returns a
// [Response] as soon as the response head is there; the body follows when it is read.
// Requests and their model (roles, params, middleware) come from gofast; the transport is
// this package's own.
//
// What it promises:
//
//   - A response body ends with io.EOF only after the application's END_REQUEST record
//     said that the request is complete. A backend that died halfway is an error.
//   - A connection is used again only after END_REQUEST was read, the request body was sent
//     to its end and no byte is left over. Closing a body early, cancelling a request and
//     every fault close the connection, so an answer never reaches another request.
//   - A connection that an earlier request left behind may have been closed by the backend
//     meanwhile. So only a request that may be repeated goes out on one: its method is
//     idempotent (RFC 9110 section 9.2.2) and its body is empty or small enough to be kept in
//     memory. When the backend closes such a connection without a byte of an answer, the
//     request is repeated on a new one. All other requests get a new connection, for which an
//     idle one makes room.
//   - An application with few workers, each tied to the connection it accepted, is not
//     starved: while a new connection waits for the first byte of its first answer for
//     longer than a tenth of a second, connections are closed instead of kept.
//   - Memory is bounded for heads, stderr and bodies of any length.
//
// The sources are the FastCGI specification, version 1.0 ("FastCGI 3.3" below is its section
// 3.3), and CGI/1.1, RFC 3875.
package fcgi
