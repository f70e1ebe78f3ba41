package runtime

import (
	"context"
	"errors"
	"io"
)

// probe is the exchange of a request that the program itself makes.
type probe struct {
	ctx          context.Context
	host, target string
}

func (p *probe) Context() context.Context              { return p.ctx }
func (p *probe) Method() string                        { return "GET" }
func (p *probe) Target() string                        { return p.target }
func (p *probe) Proto() string                         { return "HTTP/1.1" }
func (p *probe) Host() string                          { return p.host }
func (p *probe) Connection() Connection                { return Connection{} }
func (p *probe) ContentLength() int64                  { return 0 }
func (p *probe) Body() io.Reader                       { return nil }
func (p *probe) CanUpgrade() bool                      { return false }
func (p *probe) EachHeader(f func(name, value string)) { f("Host", p.host) }

// probedBody is how much of the answer to a probe is read, in bytes, so that the connection
// of a short one can be used again.
const probedBody = 64 << 10

// Prober returns a function that runs an action of the program for a GET request of its own and
// returns the status of the answer. No observer hears of the request, and a failure is
// returned, not logged. An action that leaves the request unanswered is an error. The function
// is safe for concurrent use; ctx ends the wait for a backend.
func (b *Builder) Prober() func(ctx context.Context, a Action, host, target string) (status int, err error) {
	return b.prog.probe
}

func (p *Program) probe(ctx context.Context, a Action, host, target string) (status int, err error) {
	vr := p.requests.Get().(*VRequest)
	defer vr.release()
	if err := vr.start(p, &probe{ctx, host, target}); err != nil {
		return 0, err
	}
	if err := vr.runSafely(a); err != nil {
		return 0, err
	}
	if vr.handled == unhandled {
		return 0, errors.New("the action did not answer")
	}
	body := vr.filtered
	if body == nil {
		body = vr.Out
	}
	_, err = io.CopyN(io.Discard, body, probedBody)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return vr.Response.Status, err
}
