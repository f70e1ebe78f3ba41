package bindings

import (
	"errors"
	"fmt"
	"net/netip"

	"luaserve/runtime"
)

func proxyProtocolModule() *runtime.Module {
	return &runtime.Module{
		Name: "proxy_protocol",
		Doc: "Takes the address of the client from the PROXY header with which a load balancer begins a connection, version 1 or 2, in front of TLS where that is spoken. " +
			"The setup names the load balancers; the action is lighttpd2's. Without either of them such a header is refused.",
		Setups: []runtime.Setup{
			{Name: "proxy_protocol.trust", Run: setupProxyTrust,
				Doc: "Trusts the PROXY headers of these peers, on all listeners. A connection of one of them must begin with a header, and one of anybody else must not: it is closed otherwise. " +
					"A header without addresses (LOCAL, UNKNOWN) leaves those of the connection.",
				Example: `setup.proxy_protocol.trust { "10.0.0.0/8", "2001:db8::1" }`,
				Params:  []runtime.Param{{Name: "peers", Type: runtime.TStrings, Doc: `networks or addresses; "unix:" for those who connect to a unix socket`}}},
		},
		Actions: []runtime.ActionDef{
			{Name: "proxy_protocol.trust", New: newProxyTrust,
				Doc: "Trusts the PROXY header that the connection began with, if there was one: its addresses count from here on, for all requests of the connection. " +
					"Put it into a condition on request.remoteip, and early. With this action any peer may send a header, and one that is not trusted is ignored; the setup of this name is stricter and, where it is used, alone counts.",
				Example: `actions = { when(request.remoteip:ip "10.0.0.0/8", { proxy_protocol.trust() }), respond "%{req.remoteip}" }`},
		},
		Options: []runtime.Option{
			{Name: runtime.OptionProxyTLV, Type: runtime.TNumber, Default: int64(-1), Parse: parseMaxTLV,
				Doc:     "How many bytes of further data (TLV) a PROXY header of version 2 may have; -1 leaves it to the server (4096, the addresses included). It counts as set up, not per request.",
				Example: "setup.proxy_protocol.tlv_max_length(256)"},
		},
	}
}

func parseMaxTLV(_ *runtime.Builder, v runtime.Value) (any, error) {
	n, ok := v.Int()
	if !ok || n < -1 {
		return nil, fmt.Errorf("expected a number of bytes, or -1, got %s", v)
	}
	return n, nil
}

func setupProxyTrust(b *runtime.Builder, args runtime.Args) error {
	var networks []netip.Prefix
	unix := false
	for _, text := range args.Strings(0) {
		if text == "unix:" {
			unix = true
			continue
		}
		network, err := runtime.ParseNetwork(text)
		if err != nil {
			return fmt.Errorf(`%w, or "unix:"`, err)
		}
		networks = append(networks, network)
	}
	if len(networks) == 0 && !unix {
		return errors.New("peers: expected at least one network")
	}
	b.TrustProxies(networks, unix)
	return nil
}

func newProxyTrust(b *runtime.Builder, _ runtime.Args) (runtime.Action, error) {
	b.AskAboutProxies()
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		if vr.TrustProxy() {
			vr.Log().Debug("PROXY header trusted", "remote", vr.Con.Remote.String(), "local", vr.Con.Local.String())
		}
		return nil
	}), nil
}
