package runtime

import (
	"net/netip"
	"sync/atomic"
)

// Proxying says whom a server believes when a connection begins with a PROXY header, the
// line or block with which a load balancer says where it came from (HAProxy, "The PROXY
// protocol", versions 1 and 2).
type Proxying struct {
	Trusted     []netip.Prefix // peers that must send a header, which counts; those of others are refused
	TrustedUnix bool           // whether peers on unix sockets are among them
	// Asked is whether an action decides instead: a header may come from any peer, and
	// counts once [VRequest.TrustProxy] was called for its connection.
	Asked bool
	// MaxTLV is how many bytes of further data a header may have; below 0 the server decides.
	MaxTLV int64
}

// Demands reports whether a peer must send a header. Its address is invalid on a unix socket.
func (p *Proxying) Demands(peer netip.Addr) bool {
	if !peer.IsValid() {
		return p.TrustedUnix
	}
	for _, network := range p.Trusted {
		if network.Contains(peer) {
			return true
		}
	}
	return false
}

// Allows reports whether a peer may send a header.
func (p *Proxying) Allows(peer netip.Addr) bool {
	if len(p.Trusted) > 0 || p.TrustedUnix {
		return p.Demands(peer)
	}
	return p.Asked
}

// Proxied are the ends of a connection as its PROXY header has them. They count once
// [VRequest.TrustProxy] was called for one of its requests.
type Proxied struct {
	Local, Remote netip.AddrPort
	trusted       atomic.Bool
}

// OptionProxyTLV is the option that becomes [Proxying.MaxTLV]. Its value when the script
// has been loaded counts.
const OptionProxyTLV = "proxy_protocol.tlv_max_length"

// TrustProxy has the addresses of the PROXY header that the connection began with count,
// for this request and for those that follow on the connection (lighttpd2,
// proxy_protocol.trust). It reports whether there was such a header.
func (vr *VRequest) TrustProxy() bool {
	p := vr.Con.Proxied
	if p == nil {
		return false
	}
	p.trusted.Store(true)
	vr.Con.useProxied()
	return true
}

func (c *Connection) useProxied() {
	if c.Proxied != nil && c.Proxied.trusted.Load() {
		c.Local, c.Remote = c.Proxied.Local, c.Proxied.Remote
	}
}
