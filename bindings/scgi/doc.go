// Package scgi is an SCGI client: it carries requests of a web server to SCGI applications
// over TCP or unix sockets and gives their answers back as streams.
//
// A [Client] stands for one backend address. [Client.Do] sends a [Request] over a connection
// of its own and returns a response as soon as its head is there; the body follows when it is
// read. The end of the connection is the end of the body, so a body that breaks off can be
// told only where the application gave a Content-Length, or where the connection was reset.
//
// The request is sent before the answer is read, by the goroutine that calls Do, so the
// request body is not used when Do has returned. An application may answer and close the
// connection without having read the body: the rest is then not sent.
//
// The sources are the SCGI protocol specification of 2008 and, for the answer, CGI/1.1,
// RFC 3875, with the parser of package fcgi.
package scgi
