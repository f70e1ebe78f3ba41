package runtime

import "crypto/tls"

// Listener is one place where a script wants to be reached.
type Listener struct {
	Address string      // "127.0.0.1:8080", "[::1]:8080", "unix:/run/site.sock"; without a port it is port 80
	TLS     *tls.Config // nil for plain HTTP
}
