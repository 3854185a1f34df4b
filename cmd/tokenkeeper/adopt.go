package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/ownership"
)

func newAdoptCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "adopt",
		Short: "Give a cloned or restored store to this machine",
		Long: `Give a store that was cloned or restored from another machine to this one.

A store belongs to one machine. On any other no refresh token is used, because
two machines that use the same one lose the login. Stop Tokenkeeper on the other
machine for good before this: nothing here can see whether it still runs.

It works with a running supervisor, which goes on refreshing, and without.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			got, err := e.adopt(cmd.Context())
			if err != nil {
				return err
			}
			if e.json {
				return e.printJSON(got)
			}
			if !got.Adopted {
				return e.print("the store belongs to this machine already: %s", got.To)
			}
			return e.print("the store of %s now belongs to\n%s.\nThe other machine must be stopped, or both use the same refresh token,\nand the login is lost to both.", got.From, got.To)
		},
	}
}

// adopt asks the supervisor, or changes the store if none runs.
func (e *env) adopt(ctx context.Context) (control.AdoptAnswer, error) {
	c, err := e.client()
	if err != nil {
		return control.AdoptAnswer{}, err
	}
	defer c.Close()
	got, err := c.Adopt(ctx)
	if err == nil {
		return got, nil
	}
	cfg, err := unsupervised(ctx, e, err)
	if err != nil {
		return got, err
	}
	return ownership.Adopt(ctx, cfg)
}

// unsupervised is the configuration of who changes the store itself, because no supervisor
// has answered his call; an error, that of the call first, is why he can't.
func unsupervised(ctx context.Context, e *env, called error) (*config.Config, error) {
	if !errors.Is(called, control.ErrNotRunning) || e.socket != "" {
		return nil, called
	}
	cfg, err := e.load()
	if err != nil {
		return nil, err
	}
	if state := checkStateDir(ctx, cfg); !state.OK {
		return nil, usageErrorf("the state directory %s %s", state.Path, state.State)
	}
	return cfg, nil
}
