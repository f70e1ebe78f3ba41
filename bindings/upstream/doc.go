// Package upstream is what the clients of packages fcgi, scgi and httpproxy share: the errors
// that tell a gateway what went wrong, the addresses of backends, and connections that are kept
// for later requests.
package upstream
