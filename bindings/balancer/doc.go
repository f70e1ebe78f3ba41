// Package balancer decides which of several backends gets a request: it knows who is busy, who
// has failed and who may be tried again, and it lets requests wait while nobody can take them.
// It neither knows what a backend is nor talks to one.
//
//	turn := pool.Begin(key)
//	defer turn.Leave()
//	for {
//		at, err := turn.Next(ctx)
//		if err != nil {
//			return err // nobody can take it
//		}
//		if err := send(at); err == nil {
//			turn.Worked()
//			return nil
//		}
//		turn.Failed()
//	}
package balancer
