package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// steers says who could change what decides what this process does. With
// --trust-config the owner of the configuration may.
func (e *env) steers(config string) func(path string, trusted []int) error {
	judge := trust.Here()
	var owner []int
	if e.trustConfig {
		if uid, ok := ownerOf(config); ok {
			owner = []int{uid}
		}
	}
	return func(path string, trusted []int) error {
		if path == config && e.borrowed(config) {
			return nil
		}
		absolute, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		_, err = judge.Examine(absolute, trust.Rule{Steers: true, Users: slices.Concat(trusted, owner)})
		var refusal *trust.Refusal
		if errors.As(err, &refusal) && path == config {
			refusal.Remedy = "make it root's or your own, or, if you trust who can change it: --trust-config"
		}
		return err
	}
}

func ownerOf(path string) (uid int, ok bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(st.Uid), true
}

// borrowed says whether the configuration is that of the user who became root
// with sudo (SUDO_UID in sudo(8)). It may be looked at; but nothing that it
// names is run, as whoever wrote it could be root then, too.
func (e *env) borrowed(config string) bool {
	if os.Geteuid() != 0 || e.trustConfig {
		return false
	}
	caller, err := strconv.Atoi(e.getenv("SUDO_UID"))
	if err != nil || caller == 0 {
		return false
	}
	owner, ok := ownerOf(config)
	return ok && owner == caller
}
