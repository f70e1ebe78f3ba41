package http1

// Waiting returns what tells, also when the server is closed, for how many paused requests the
// loops wait, and how much is served elsewhere.
func (s *Server) Waiting() func() (paused, elsewhere int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	loops := s.loops.all
	return func() (paused, elsewhere int) {
		for _, l := range loops {
			paused += int(l.paused.Load())
		}
		return paused, int(s.elsewhere.Load())
	}
}
