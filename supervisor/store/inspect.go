package store

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/machine"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/journal"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/mirror"
)

// Contents are what a state file holds, which may be nothing.
type Contents struct{ file source }

// Peek reads the state file in a directory, without changing anything, or says what is
// wrong with it: ErrDamaged, ErrNewerFormat, or that it is open to others.
// A file that is not there is in order, and empty. While a supervisor has the directory
// nothing can be said about it: ErrInUse.
func Peek(dir string) (Contents, error) {
	nothing := Contents{source{state: newState()}}
	img, err := mirror.Peek(dir)
	if err != nil {
		return nothing, err
	}
	defer img.Close()
	s := decode(img)
	if s.Moved != "" && s.Err == nil {
		return nothing, fmt.Errorf("%w to %s", ErrMoved, s.Moved)
	}
	if s.Err != nil {
		return nothing, fmt.Errorf("the state file %s: %w", s.Path, s.Err)
	}
	return Contents{s}, nil
}

// Records are those of all accounts, ordered by account.
func (c Contents) Records() (all []Record) {
	for _, h := range c.file.state.headList(nil) {
		all = append(all, c.file.state.of(h.Account).record)
	}
	return all
}

// Owner is [Journal.Owner] of that store.
func (c Contents) Owner() machine.Owner { return c.file.state.owner }

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
	// Paused: a person wants nothing to be asked of its broker.
	Paused bool `json:"paused,omitempty"`
}

// ReadReport reads a file, which a supervisor may be writing.
func ReadReport(path string) (Report, error) {
	if _, err := os.Stat(path); err != nil {
		return Report{}, err
	}
	var s source
	for range 5 { // between two looks at it more may have been written
		img, err := journal.Read(path)
		if err != nil {
			return Report{}, err
		}
		s = decode(img)
		if img.Close(); s.Err == nil && !s.Worn {
			break
		}
	}
	n, at := s.Transactions()
	r := Report{
		Path: path, Bytes: s.Length, Sequence: s.Sequence, At: at.UTC(), Transactions: n, Sealed: s.Sealed, Moved: s.Moved, Worn: s.Worn,
		Accounts: []ReportAccount{},
	}
	if !s.Empty {
		r.Engine, r.Format = "journal", s.Format
	}
	if o := s.state.owner; !o.Name.Zero() {
		r.Machine = o.Name.String()
	}
	if s.Err != nil {
		r.Damage = s.Err.Error()
	}
	for name, a := range s.state.accounts {
		line := ReportAccount{
			Account: name, Provider: a.record.Provider, Version: a.record.Version, Origin: a.record.Origin, StoredAt: a.record.StoredAt,
			RefreshToken: a.record.Token.RefreshToken.Fingerprint(), Login: a.login != nil, Paused: a.pause != nil,
		}
		if a.intent != nil {
			line.Attempt = a.intent.Attempt
		}
		r.Accounts = append(r.Accounts, line)
	}
	slices.SortFunc(r.Accounts, func(a, b ReportAccount) int { return strings.Compare(a.Account, b.Account) })
	return r, nil
}

// Backups are the paths of the backups in some of the [Places] of a store, the newest of each
// first.
func Backups(places ...string) (all []string) {
	for _, dir := range places {
		all = append(all, mirror.Backups(dir)...)
	}
	return all
}

// OfferBackup copies a backup that stands elsewhere among those of the first of the [Places]
// of a store that is gone or damaged: the next Open restores it from there and from what is
// left, and tells what it doubts. A store that is good stays as it is: versions never go back.
func OfferBackup(places []string, backup string, now time.Time) (path string, err error) {
	img, err := journal.Read(backup)
	if err != nil {
		return "", err
	}
	defer img.Close()
	s := decode(img)
	if !s.Good() || s.Moved != "" || len(s.state.accounts) == 0 {
		return "", fmt.Errorf("%s is no backup to restore from: %w", backup, cmp.Or(s.Err, ErrNotFound))
	}
	for _, dir := range places {
		switch here, err := Peek(dir); {
		case err != nil && !errors.Is(err, ErrDamaged):
			return "", err
		case err == nil && here.file.Good():
			return "", fmt.Errorf("the store in %s is good, and at transaction %d (%s: %d): nothing is restored, because versions never go back; move %s away first if it must be",
				dir, here.file.Sequence, backup, s.Sequence, here.file.Path)
		}
	}
	return mirror.Offer(places[0], img, now)
}
