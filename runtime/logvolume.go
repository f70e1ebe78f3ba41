package runtime

// maxLogged is how much the Lua code of a site may write to the log for one request, in bytes,
// unless it is trusted: one request must not fill a disk. A file of lua.handler has as much each
// time that it is loaded.
const maxLogged = 64 << 10

// logVolume counts what was logged for a request.
type logVolume struct{ said, leftOut int }

// MayLog reports whether a message of so many bytes may go to the log, and counts it. When the
// request is over, one line says how much did not.
func (c *Call) MayLog(bytes int) bool {
	st := c.st
	if st.level() == SandboxTrusted {
		return true
	}
	if st.current != nil && st.current.vr != nil {
		return st.current.vr.MayLog(bytes)
	}
	if st.loadLogged += bytes; st.loadLogged > maxLogged {
		c.Errorf("more than %d bytes were written to the log while the file was loaded", maxLogged)
	}
	return true
}

// MayLog is [Call.MayLog] for actions that write messages.
func (vr *VRequest) MayLog(bytes int) bool {
	for vr.parent != nil {
		vr = vr.parent
	}
	v := &vr.logged
	if v.leftOut == 0 && v.said+bytes <= maxLogged {
		v.said += bytes
		return true
	}
	v.leftOut += bytes
	return false
}

// tellLeftOut writes the line about messages that were left out.
func (vr *VRequest) tellLeftOut() {
	if n := vr.logged.leftOut; n > 0 {
		vr.Log().Warn("messages of the script were left out", "bytes", n, "limit", maxLogged, "path", vr.Request.URI.Path)
	}
}

// BoundsLog reports whether what the script that is calling writes to the log is bounded; see
// [VRequest.MayLog].
func (b *Builder) BoundsLog() bool { return b.st.level() != SandboxTrusted }
