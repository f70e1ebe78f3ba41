// Package httpproxy carries requests of a web server to HTTP/1.1 servers over TCP or unix
// sockets and gives their answers back as streams.
//
// A [Client] stands for one upstream address. [Client.Do] sends a [Request] and returns a
// [Response] as soon as its head is there; the body follows when it is read.
//
// What it promises:
//
//   - The request target, and names, values and order of the header fields go out byte for
//     byte as they were given. Fields that belong to one connection are left out in both
//     directions (RFC 9110 section 7.6.1), and the framing of a request is always its own.
//   - A response body ends with io.EOF only where the upstream's framing says that it is
//     complete. Whatever is missing is an error.
//   - A connection is used again only after the response was read to its end, the request was
//     sent to its end, and no byte is left over. So an answer never reaches another request.
//   - The upstream may close a kept connection at any moment. So only a request that may be
//     repeated goes out on one: its method is idempotent (RFC 9110 section 9.2.2) and its body
//     is empty or small. It is repeated once, on a new connection, when the kept one gave no
//     byte of an answer. Every other request gets a new connection, for which an idle one
//     makes room.
//   - The request body is used only until Do returns. When the upstream refuses the request
//     before it has read the body, the rest is not sent.
//
// Responses are parsed here, as strictly as RFC 9112 has it: what a gateway would have to
// repair is an error. http.ReadResponse made maps and copies that cost more than all the rest of
// a small request, and lost the order and the spelling of the fields. The Transport of net/http
// is not used: it cannot send a target such as "//a|b" unchanged, it neither repeats a POST on a
// connection that turned out to be closed nor can it be told to open a new one for it, and it
// reads request bodies in a goroutine that may outlive the request.
//
// Not supported: trailers of requests (dropped), CONNECT.
package httpproxy
