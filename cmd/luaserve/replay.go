package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"luaserve/replay"
	"luaserve/runtime"
)

func (a *app) replayCommand() *cobra.Command {
	var oldSite, newSite, host string
	var asJSON bool
	var sandbox runtime.Sandbox
	cmd := &cobra.Command{
		Use:   "replay ACCESS.LOG --old A.lua --new B.lua",
		Short: "Tell which requests of a log two scripts decide differently",
		Long: `Run the requests of an access log through two scripts, without listening anywhere, and
list those that come to another status, rule, file or header. Backends are not asked.

A log has lines of JSON as luaserve writes them, or the common or combined format, with
or without the virtual host. It knows neither bodies nor cookies: rules that look at them
see requests without. - is stdin. The exit code is 1 when something differs.`,
		Example: `  luaserve replay access.log --old site.lua --new site-new.lua
  zcat access.log.*.gz | luaserve replay - --old site.lua --new site-new.lua --host example.net`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || oldSite == "" || newSite == "" {
				return fmt.Errorf("expected one log and two scripts: %s", cmd.UseLine())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			result, err := a.replayed(cmd, args[0], oldSite, newSite, host, sandbox)
			if err != nil {
				return err
			}
			if asJSON {
				out := json.NewEncoder(a.stdout)
				out.SetEscapeHTML(false)
				out.SetIndent("", "  ")
				err = out.Encode(result)
			} else {
				err = result.Text(a.stdout)
			}
			if err == nil && result.Different > 0 {
				err = errors.New("the scripts differ")
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&oldSite, "old", "", "the `script` that the log is from")
	flags.StringVar(&newSite, "new", "", "the `script` to compare with it")
	flags.StringVar(&host, "host", "", "the `host` of requests whose line names none")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	sandboxFlags(cmd, &sandbox)
	return cmd
}

func (a *app) replayed(cmd *cobra.Command, file, oldSite, newSite, host string, sandbox runtime.Sandbox) (*replay.Result, error) {
	log := slog.New(slog.DiscardHandler)
	before, err := loadToInspect(oldSite, log, sandbox)
	if err != nil {
		return nil, err
	}
	defer before.Close()
	after, err := loadToInspect(newSite, log, sandbox)
	if err != nil {
		return nil, err
	}
	defer after.Close()
	var in io.Reader = os.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	differ := replay.NewDiffer(before, after)
	bad, first, err := replay.Read(in, host, func(e replay.Entry) error { return differ.Add(cmd.Context(), e) })
	if err != nil {
		return nil, err
	}
	result := differ.Result()
	if bad > 0 {
		fmt.Fprintf(a.stderr, "%d lines were left out: %v\n", bad, first)
	}
	if result.Requests == 0 {
		return nil, fmt.Errorf("%s: no requests", file)
	}
	return &result, nil
}
