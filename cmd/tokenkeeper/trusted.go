package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// trusted is the owner of the configuration, with --trust-config.
func (e *configured) trusted(config string) []int {
	if uid, ok := ownerOf(config); ok && e.trustConfig {
		return []int{uid}
	}
	return nil
}

// steers says who could change what decides what this process does.
func (e *configured) steers(config string) func(path string, trusted []int) error {
	judge := trust.Here()
	return func(path string, trusted []int) error {
		if path == config && e.borrowed(config) {
			return nil
		}
		absolute, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		rule := trust.Rule{Steers: true, Users: trusted}
		if _, err = judge.Examine(absolute, rule); errors.Is(err, fs.ErrNotExist) || err == nil && strings.HasSuffix(path, "/") {
			if strings.HasSuffix(path, "/") { // a folder that is searched: see trust.Operands
				absolute += "/"
			}
			if refused := judge.Steered(absolute, rule); refused != nil {
				err = refused
			}
		}
		var refusal *trust.Refusal
		if errors.As(err, &refusal) && path == config && strings.Contains(refusal.Reason, "belongs to") {
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
func (e *configured) borrowed(config string) bool {
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
