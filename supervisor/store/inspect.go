package store

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/machine"
)

// Inspect says what is wrong with the state file in a directory, without
// changing anything: ErrDamaged, ErrNewerFormat, or that it is open to others.
// A file that is not there is in order. While a supervisor has the directory
// nothing can be said about it: ErrInUse.
func Inspect(dir string) error {
	_, err := inspect(dir)
	return err
}

// Records reads the records in a directory while no supervisor has it, without
// changing anything. Its errors are those of [Inspect].
func Records(dir string) (all []Record, err error) {
	s, err := inspect(dir)
	if err != nil {
		return nil, err
	}
	return s.state.records(), nil
}

// OwnerOf is [Journal.Owner] of the store in a directory, without changing anything. Its
// errors are those of [Inspect].
func OwnerOf(dir string) (machine.Owner, error) {
	s, err := inspect(dir)
	if err != nil {
		return machine.Owner{}, err
	}
	return s.state.owner, nil
}

// inspect reads the state file in a directory.
func inspect(dir string) (s source, err error) {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return source{image: readImage(nil), state: newState()}, nil
	}
	if err != nil {
		return s, fmt.Errorf("the state directory can't be opened: %w", err)
	}
	defer func() { _ = d.Close() }()
	// Shared: two who look do not disturb each other. It is held for as long as
	// the file is read, which is less than a supervisor that starts waits.
	if err := unix.Flock(int(d.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return s, inUse(dir)
		}
		return s, fmt.Errorf("the state directory %s can't be locked (%w): it must be on a local disk", dir, err)
	}
	p := &place{dir: dir}
	if err := checkFile(p.file()); err != nil {
		return s, err
	}
	s, err = readSource(p.file())
	if err != nil {
		return s, err
	}
	if s.moved != "" && s.err == nil {
		return s, fmt.Errorf("%w to %s", ErrMoved, s.moved)
	}
	if s.err != nil {
		return s, fmt.Errorf("the state file %s: %w", s.path, s.err)
	}
	return s, nil
}

// Report is what a state file holds, or a backup, without a secret.
type Report struct {
	Path string `json:"path"`
	// Engine and Format are how it is written; "": there is nothing in it.
	Engine string `json:"engine,omitempty"`
	Format string `json:"format,omitempty"`
	Bytes  int    `json:"bytes"`
	// Sequence of its newest transaction, and when that was made.
	Sequence uint64    `json:"sequence,omitempty"`
	At       time.Time `json:"at,omitzero"`
	// Transactions that stand in it, those among them that are over.
	Transactions int `json:"transactions"`
	// Machine that it belongs to, for people; "": it names none.
	Machine string `json:"machine,omitempty"`
	// Sealed counts the values that can't be read without a key.
	Sealed int `json:"sealed"`
	// Moved says where the store goes on; "": here.
	Moved string `json:"moved,omitempty"`
	// Damage says what is lost of it; "": nothing. Worn: what is damaged stands in it a
	// second time.
	Damage   string          `json:"damage,omitempty"`
	Worn     bool            `json:"worn,omitempty"`
	Accounts []ReportAccount `json:"accounts"`
}

// ReportAccount is what stands of one account.
type ReportAccount struct {
	Account  string    `json:"account"`
	Provider string    `json:"provider,omitempty"`
	Version  uint64    `json:"version"`
	Origin   Origin    `json:"origin,omitempty"`
	StoredAt time.Time `json:"stored_at,omitzero"`
	// RefreshToken is its fingerprint.
	RefreshToken string `json:"refresh_token_fingerprint,omitempty"`
	// Attempt that was announced and is not settled, and whether a login is open.
	Attempt string `json:"attempt,omitempty"`
	Login   bool   `json:"login,omitempty"`
}

// ReadReport reads a file, which a supervisor may be writing.
func ReadReport(path string) (Report, error) {
	if _, err := os.Stat(path); err != nil {
		return Report{}, err
	}
	var s source
	for range 5 { // between two looks at it more may have been written
		var err error
		if s, err = readSource(path); err != nil {
			return Report{}, err
		}
		if s.err == nil && !s.worn {
			break
		}
	}
	r := Report{Path: path, Bytes: s.length, Sequence: s.sequence, Transactions: len(s.frames), Sealed: s.sealed, Moved: s.moved, Worn: s.worn, Accounts: []ReportAccount{}}
	if !s.empty {
		r.Engine, r.Format = "journal", s.format
	}
	if n := len(s.frames); n > 0 {
		r.At = s.frames[n-1].at.UTC()
	}
	if o := s.state.owner; !o.Name.Zero() {
		r.Machine = o.Name.String()
	}
	if s.err != nil {
		r.Damage = s.err.Error()
	}
	for name, a := range s.state.accounts {
		line := ReportAccount{
			Account: name, Provider: a.record.Provider, Version: a.record.Version, Origin: a.record.Origin, StoredAt: a.record.StoredAt,
			RefreshToken: a.record.Token.RefreshToken.Fingerprint(), Login: a.login != nil,
		}
		if a.intent != nil {
			line.Attempt = a.intent.Attempt
		}
		r.Accounts = append(r.Accounts, line)
	}
	slices.SortFunc(r.Accounts, func(a, b ReportAccount) int { return strings.Compare(a.Account, b.Account) })
	return r, nil
}

// Backups are the paths of the backups in a state directory, newest first.
func Backups(dir string) []string { return (&place{dir: dir}).backupPaths() }

// OfferBackup copies a backup that stands elsewhere among those of a directory, whose
// store is gone or damaged: the next Open restores it from there and from what is left,
// and tells what it doubts. A store that is good stays as it is: versions never go back.
func OfferBackup(dir, backup string, now time.Time) (path string, err error) {
	s, err := readSource(backup)
	if err != nil {
		return "", err
	}
	if !s.good() || s.moved != "" || len(s.state.accounts) == 0 {
		return "", fmt.Errorf("%s is no backup to restore from: %w", backup, cmp.Or(s.err, ErrNotFound))
	}
	switch here, err := inspect(dir); {
	case err != nil && !errors.Is(err, ErrDamaged):
		return "", err
	case err == nil && here.good():
		return "", fmt.Errorf("the store in %s is good, and at transaction %d (%s: %d): nothing is restored, because versions never go back; move %s away first if it must be",
			dir, here.sequence, backup, s.sequence, here.path)
	}
	if err := prepareDir(dir); err != nil {
		return "", err
	}
	path = freeName((&place{dir: dir}).backupName(now), backupSuffix)
	if err := writeBackup(path, s.file); err != nil {
		return "", fmt.Errorf("copying %s: %w", backup, err)
	}
	return path, nil
}
