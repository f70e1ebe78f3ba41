package bindings

import "luaserve/runtime"

const optionLogHandling = "debug.log_request_handling"

// handlingKey marks a program whose requests are looked at for [optionLogHandling].
type handlingKey struct{}

// parseLogHandling has the requests of a program observed as soon as a script mentions the
// option: without it requests pay nothing.
func parseLogHandling(b *runtime.Builder, v runtime.Value) (any, error) {
	on, _ := v.Bool()
	b.Shared(handlingKey{}, func() any {
		wanted := b.Option(optionLogHandling)
		b.Observe(runtime.Observer{End: func(vr *runtime.VRequest) {
			if vr.Option(wanted).(bool) {
				logHandling(vr)
			}
		}})
		return true
	})
	return on, nil
}

func logHandling(vr *runtime.VRequest) {
	by := "nobody"
	if vr.IsHandled() {
		by = "an action"
	}
	vr.Log().Info("request handled", "method", vr.Request.Method, "host", vr.Request.URI.Host, "target", vr.Request.URI.Raw,
		"path", vr.Request.URI.Path, "query", vr.Request.URI.Query, "docroot", vr.Physical.DocRoot, "file", vr.Physical.Path,
		"pathinfo", vr.Physical.PathInfo, "answered by", by, "status", vr.Response.Status, "bytes", vr.BytesSent(), "cut", vr.WasCut())
}
