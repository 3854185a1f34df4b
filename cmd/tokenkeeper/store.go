package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

func newStoreCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Look into the store, check it, back it up or restore it",
		Long: `Show what the store holds, as "tokenkeeper store inspect" does; check it, back
it up, or restore it.

The store is one file in the state directory. A supervisor makes a backup of it
at each start and each day, and restores it by itself where it is damaged.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownSubcommand(cmd, args[0])
		},
		RunE: func(_ *cobra.Command, _ []string) error { return e.inspectStore(nil) },
	}
	cmd.AddCommand(newStoreInspectCommand(e), newStoreCheckCommand(e), newStoreBackupCommand(e), newStoreRestoreCommand(e))
	return cmd
}

func newStoreInspectCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "inspect [FILE]",
		Short: "Show what the store holds, or a copy of it",
		Long: `Show what the store holds, or FILE, which may be a backup: without a token, also
while a supervisor runs.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageErrorf("one FILE at most, got %d", len(args))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return e.inspectStore(args) },
	}
}

// inspectStore shows the file that is named, or the store's own.
func (e *env) inspectStore(args []string) error {
	path := ""
	if len(args) > 0 {
		path = args[0]
	} else {
		cfg, err := e.load()
		if err != nil {
			return err
		}
		path = newestStoreFile(store.Places(cfg.StateDir, cfg.FallbackDir))
	}
	r, err := store.ReadReport(path)
	if err != nil {
		return fmt.Errorf("reading the store: %w", err)
	}
	show := e.printReport
	if e.json {
		show = func(r store.Report) error { return e.printJSON(r) }
	}
	if err := show(r); err != nil || r.Damage == "" {
		return err
	}
	return fmt.Errorf("%s is damaged, or no store", path)
}

// newestStoreFile is the state file that goes furthest, of those in the places of a store.
func newestStoreFile(places []string) (path string) {
	last := uint64(0)
	for _, dir := range places {
		file := filepath.Join(dir, store.FileName)
		if r, err := store.ReadReport(file); path == "" || err == nil && r.Sequence > last {
			path, last = file, r.Sequence
		}
	}
	return path
}

func (e *env) printReport(r store.Report) error {
	machine := r.Machine
	if machine == "" {
		machine = "it names none"
	}
	lines := []string{r.Path, fmt.Sprintf("  %d bytes, no transaction that can be read", r.Bytes)}
	if r.Transactions > 0 {
		lines = []string{
			r.Path,
			fmt.Sprintf("  %s %s, %d bytes, %d transactions", r.Engine, r.Format, r.Bytes, r.Transactions),
			fmt.Sprintf("  newest: transaction %d, %s", r.Sequence, r.At.Format(time.RFC3339)),
			"  machine: " + machine,
			fmt.Sprintf("  sealed: %d values", r.Sealed),
		}
	}
	if r.Moved != "" {
		lines = append(lines, "  moved: the store goes on in "+r.Moved)
	}
	switch {
	case r.Damage != "":
		lines = append(lines, "  damaged: "+strings.ReplaceAll(r.Damage, "\n", "\n    "))
	case r.Worn:
		lines = append(lines, "  a part is damaged, all of which stands in it a second time")
	}
	for _, a := range r.Accounts {
		line := fmt.Sprintf("%s: version %d by %s, %s", a.Account, a.Version, a.Origin, a.StoredAt.Format(time.RFC3339))
		if a.Version == 0 {
			line = a.Account + ": no token"
		}
		if a.Attempt != "" {
			line += "\n  attempt " + a.Attempt + " is not settled"
		}
		if a.Login {
			line += "\n  a login is open"
		}
		if a.Paused {
			line += "\n  a person has paused it"
		}
		lines = append(lines, line)
	}
	return e.print("%s", visible(strings.Join(lines, "\n"))) // a copy may be of anywhere
}

// storeCheck is what "store check --json" prints.
type storeCheck struct {
	Files []storeFileState `json:"files"`
	OK    bool             `json:"ok"`
}

type storeFileState struct {
	Path   string    `json:"path"`
	OK     bool      `json:"ok"`
	Worn   bool      `json:"worn,omitempty"`
	At     time.Time `json:"at,omitzero"`
	Damage string    `json:"damage,omitempty"`
	// note is what people are told besides.
	note string
}

func newStoreCheckCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Read the store and its backups, and say what is damaged",
		Long: `Read every byte of the store and of its backups, also in fallback_dir, and say
what is damaged.

Exit code: 1 if the store, or a backup, is damaged so that something is lost.`,
		Args: exactArgs(),
		RunE: func(_ *cobra.Command, _ []string) error {
			cfg, err := e.load()
			if err != nil {
				return err
			}
			got := checkStore(store.Places(cfg.StateDir, cfg.FallbackDir))
			if err := e.printStoreCheck(got); err != nil || got.OK {
				return err
			}
			return errors.New("the store, or a backup of it, is missing or damaged; a supervisor restores the store at its start, \"tokenkeeper store inspect FILE\" shows what is left")
		},
	}
}

// checkStore reads what there is of a store. In all but one of its places it needs no state
// file.
func checkStore(places []string) storeCheck {
	got, newest := storeCheck{OK: true}, newestStoreFile(places)
	for n, dir := range places {
		file := filepath.Join(dir, store.FileName)
		for _, path := range append([]string{file}, store.Backups(dir)...) {
			r, err := store.ReadReport(path)
			none, note := errors.Is(err, fs.ErrNotExist), ""
			switch {
			case path == file && path != newest && (none || err == nil && r.Bytes == 0):
				continue
			case none:
				r.Damage = "missing; the next start restores it from the newest backup, if there is one"
			case err != nil:
				r.Damage = err.Error()
			case r.Bytes == 0:
				r.Damage = "empty; the next start restores it from the newest backup, if there is one"
			case n > 0 && path == newest:
				note = "\n  the store is here now, and moves back to the state directory at the next start\n  that can write there"
			}
			got.Files = append(got.Files, storeFileState{Path: path, OK: r.Damage == "", Worn: r.Worn, At: r.At, Damage: r.Damage, note: note})
			got.OK = got.OK && r.Damage == ""
		}
	}
	return got
}

func (e *env) printStoreCheck(got storeCheck) error {
	if e.json {
		return e.printJSON(got)
	}
	for _, f := range got.Files {
		state := "good, " + f.At.Format(time.RFC3339)
		switch {
		case !f.OK:
			state = f.Damage
		case f.Worn:
			state = "a part is damaged, all of which stands in it a second time"
		}
		if err := e.print("%s\n  %s%s", f.Path, state, f.note); err != nil {
			return err
		}
	}
	return nil
}

// storeBackup is what "store backup --json" and "store restore --json" print.
type storeBackup struct {
	Backup string `json:"backup"`
	// Newer is another backup, which goes further than one that is given back.
	Newer string `json:"newer_backup,omitempty"`
}

func newStoreBackupCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "backup",
		Short: "Make a backup now, while no supervisor runs",
		Long: `Make a backup of the store in the directory "backup" beside it, while no
supervisor runs: one that runs does so each day. It holds refresh tokens, and
at a broker that replaces them it is worth nothing after the next refresh.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := e.load()
			if err != nil {
				return err
			}
			places := store.Places(cfg.StateDir, cfg.FallbackDir)
			for _, dir := range places {
				if _, err := store.Peek(dir); err != nil {
					return err
				}
			}
			if _, err := os.Stat(newestStoreFile(places)); err != nil {
				return fmt.Errorf("there is nothing to back up: %w", err)
			}
			st, err := store.Open(cfg.StateDir, store.Options{Now: e.now, Fallback: cfg.FallbackDir})
			if err != nil {
				return err
			}
			if err := errors.Join(st.Backup(cmd.Context()), st.Close()); err != nil {
				return err
			}
			got := storeBackup{}
			if all := store.Backups(places...); len(all) > 0 { // their names tell the moment
				got.Backup = slices.MaxFunc(all, func(a, b string) int { return strings.Compare(filepath.Base(a), filepath.Base(b)) })
			}
			if e.json {
				return e.printJSON(got)
			}
			return e.print("%s", got.Backup)
		},
	}
}

func newStoreRestoreCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "restore FILE",
		Short: "Give a backup back to a store that is gone or damaged",
		Long: `Give a backup back to a store that is gone or damaged, while no supervisor runs.
FILE is copied among the backups, and the next start restores the store from it
and from whatever is left in the state directory: for each account the newest
version counts. A store that is good is left alone: versions never go back.

A refresh token from a backup may have been replaced since. So that start asks
spools, shared files and sinks for a newer one.`,
		Args: exactArgs("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			cfg, err := e.load()
			if err != nil {
				return err
			}
			places := store.Places(cfg.StateDir, cfg.FallbackDir)
			if _, err := os.Stat(args[0]); errors.Is(err, fs.ErrNotExist) {
				return noBackup(places, args[0])
			}
			path, err := store.OfferBackup(places, args[0], e.now())
			if err != nil {
				return err
			}
			got := storeBackup{path, newerBackup(places, path)}
			switch {
			case e.json:
				return e.printJSON(got)
			case got.Newer != "":
				return e.print("copied to %s;\nbut %s\ngoes further: the next start of the supervisor takes each account's newest\nversion, and so that of the latter. To go back all the same, move it away first", path, got.Newer)
			}
			return e.print("copied to %s;\nthe next start of the supervisor restores the store from it", path)
		},
	}
}

// noBackup says that there is no such file, and which could be meant.
func noBackup(places []string, path string) error {
	all := store.Backups(places...)
	if len(all) == 0 {
		return fmt.Errorf("there is no file %s: name a backup of a store, such as one from the directory \"backup\" of another state directory; %s has none", path, places[0])
	}
	return fmt.Errorf("there is no file %s: name a backup of a store; those of %s are, the newest first:\n  %s", path, places[0], strings.Join(all, "\n  "))
}

// newerBackup is the backup of a store that goes furthest, if it goes further than one of
// them.
func newerBackup(places []string, path string) (newer string) {
	last := uint64(0)
	if r, err := store.ReadReport(path); err == nil {
		last = r.Sequence
	}
	for _, other := range store.Backups(places...) {
		if r, err := store.ReadReport(other); err == nil && r.Sequence > last {
			newer, last = other, r.Sequence
		}
	}
	return newer
}
