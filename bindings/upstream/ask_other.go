//go:build !unix

package upstream

type asker struct{}

// askRaw writes and reads as net.Conn does. It cannot tell whether a kept connection is still
// open; a request that meets a closed one is repeated.
func (c *Conn) askRaw(request, p []byte) (a Asked) {
	if a.Sent, a.SendErr = c.Net.Write(request); a.SendErr == nil && a.Sent == len(request) {
		a.Read, a.ReadErr = c.Net.Read(p)
	}
	return a
}
