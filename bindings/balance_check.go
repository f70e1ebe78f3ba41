package bindings

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"luaserve/bindings/upstream"
	"luaserve/runtime"
)

// healthCheck says how backends are checked.
type healthCheck struct {
	interval, timeout time.Duration
	rise, fall        int64
	path, host        string // an empty path: connecting is enough
}

// start has every backend of a balancer checked while the program serves.
func (c *healthCheck) start(b *runtime.Builder, of *balance) error {
	if !b.InSite() {
		return errors.New("only what the script of the site itself makes can be checked, as that is made once")
	}
	log := b.Log()
	for i, action := range of.actions {
		probe, err := c.probe(b, action)
		if err != nil {
			return fmt.Errorf("entry %d: %w", i+1, err)
		}
		b.Background(func(ctx context.Context) {
			c.watch(ctx, probe, func(err error) {
				switch {
				case !of.pool.SetDown(i, err != nil):
				case err != nil:
					log.Warn("backend is down", "backend", of.pool.Name(i), "error", err.Error())
				default:
					log.Info("backend is up again", "backend", of.pool.Name(i))
				}
			})
		})
	}
	return nil
}

// probe returns the check of one backend.
func (c *healthCheck) probe(b *runtime.Builder, action runtime.Action) (func(context.Context) error, error) {
	if c.path != "" {
		ask := b.Prober()
		return func(ctx context.Context) error {
			status, err := ask(ctx, action, c.host, c.path)
			if err == nil && (status < 200 || status >= 400) {
				err = fmt.Errorf("the answer to %s has the status %d", c.path, status)
			}
			return err
		}, nil
	}
	address := backendAddress(action)
	if address == "" {
		return nil, errors.New("there is no single address to connect to; give a path")
	}
	network, address, err := upstream.ParseAddress(address)
	return func(ctx context.Context) error {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, network, address)
		if err == nil {
			conn.Close()
		}
		return err
	}, err
}

// watch checks a backend until ctx ends. It calls change with the error of the check that made
// it down and with nil when it is up again; in the beginning it counts as up.
func (c *healthCheck) watch(ctx context.Context, probe func(context.Context) error, change func(err error)) {
	down, streak := false, int64(0)
	for {
		err := c.once(ctx, probe)
		if ctx.Err() != nil {
			return
		}
		needed := c.fall
		if down {
			needed = c.rise
		}
		if bad := err != nil; bad == down {
			streak = 0
		} else if streak++; streak >= needed {
			down, streak = bad, 0
			change(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(c.interval):
		}
	}
}

func (c *healthCheck) once(ctx context.Context, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return probe(ctx)
}
