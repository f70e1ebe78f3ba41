package runtime

import (
	"crypto/tls"
	"io/fs"
)

// Listener is one place where a script wants to be reached.
type Listener struct {
	// Address is "127.0.0.1:8080", "[::1]:8080", "unix:/run/site.sock", or "systemd:" with the
	// name of sockets that were opened for the server; without a port it is port 80.
	Address string
	TLS     *tls.Config // nil for plain HTTP
	Socket  *SocketFile // of a unix socket; nil leaves it to the umask
}

// SocketFile says who may connect to a unix socket.
type SocketFile struct {
	Mode     fs.FileMode // 0 leaves it to the umask
	UID, GID int         // -1 are those of the process
}
