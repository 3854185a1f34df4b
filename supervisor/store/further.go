package store

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store/journal"
)

// This file holds what is done where a store is put together again, and something beside its
// state file goes further than that, though the end of that is there. No backup of this store
// does: so it is of another one, or an older copy has taken the state file's place. Tokens
// tell which is the newer, as a record knows those that it has replaced.

// isFurther says so of a file, where the state file that goes furthest is damaged. One that is
// not, and older than a backup, counts for nothing.
func (r *restoration) isFurther(img *journal.Image) bool {
	var furthest *remains
	for _, f := range r.files {
		if f.live && (furthest == nil || f.Sequence > furthest.Sequence) {
			furthest = f
		}
	}
	return furthest != nil && !furthest.Good() && furthest.EndKnown() && img.Sequence > furthest.Sequence
}

// addFurther takes what they hold. Where an account has a login in one of them that does not
// know the login that it has here, nor is known by that, the error calls for a person: an
// attempt, or a token, would be taken away by a guess.
func (r *restoration) addFurther(further []*journal.Image, cause error, dir string) error {
	if len(further) == 0 {
		return nil
	}
	known, values := newState(), map[string][]byte{}
	for key, f := range r.found {
		values[key] = f.value
	}
	if err := known.Apply(values); err != nil {
		return err
	}
	var strange []string
	for _, img := range further {
		s := decode(img)
		if names := strangers(known, s.state); len(names) > 0 {
			strange = append(strange, fmt.Sprintf("%s goes further, with another login of account %s", s.Path, strings.Join(names, ", ")))
		}
		if err := r.add(s, false, known); err != nil {
			return err
		}
	}
	if len(strange) > 0 {
		return fmt.Errorf("%w, and %s: which is the newer can't be told, and to use the older one could end the login; "+
			"move what is not of this store out of %s, keep it, and start again", cause, strings.Join(strange, "; "), dir)
	}
	return nil
}

// outdoes says whether what is known of the account was obtained on the way over a record;
// nil: nothing is known.
func outdoes(known *state, r Record) bool {
	return known != nil && known.of(r.Account).record.Replaced(r.Token.RefreshToken.Fingerprint())
}

// strangers are the accounts whose logins here and there do not know each other, in order.
func strangers(here, there *state) (names []string) {
	for name, a := range here.accounts {
		ours, theirs := a.record.Token.RefreshToken.Fingerprint(), there.of(name).record
		if ours == "" && a.intent != nil {
			ours = a.intent.Fingerprint
		}
		is := theirs.Token.RefreshToken.Fingerprint()
		if is != "" && ours != "" && is != ours && !theirs.Replaced(ours) && !a.record.Replaced(is) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
