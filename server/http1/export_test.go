package http1

// IsClosing reports whether the server takes no more connections.
func (s *Server) IsClosing() bool { return s.closing.Load() }
