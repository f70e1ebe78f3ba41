package upstream

// Idempotent reports whether doing a request of this method twice is as good as doing it once,
// so that it may be repeated when its answer was lost (RFC 9110 section 9.2.2).
func Idempotent(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}
