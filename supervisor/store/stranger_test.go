package store_test

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// obtained is version n of an account, each obtained with the one before, in the grant of
// that name.
func obtained(account, grant string, n uint64) store.Record {
	token := func(n uint64) sdk.Secret { return sdk.NewSecret(account + "-" + grant + "-" + string(rune('a'+n))) }
	r := next(account, n)
	r.Token.RefreshToken = token(n)
	for n > 1 {
		n--
		r.Fingerprints = append(r.Fingerprints, token(n).Fingerprint())
	}
	return r
}

// The end of a fresh snapshot is gone in both copies, changes stand behind it, and among the
// backups is one that goes further than the state file: which of the two is the newer is
// told by their tokens alone. Where those tell nothing, nobody guesses, nothing is written,
// and it is for a person to say which file is of this store.
func TestABackupThatGoesFurtherThanADamagedFile(t *testing.T) {
	var accounts []string
	for n := range manyAccounts {
		accounts = append(accounts, accountName(n))
	}
	for name, tt := range map[string]struct {
		grant   string
		version uint64
		refused bool
		want    int
	}{
		"another login": {"other", 9, true, -3},
		"later":         {"ours", 9, false, -9},
		"earlier":       {"ours", 2, false, -3},
	} {
		for _, intended := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				w, other := begin(t), begin(t)
				for _, account := range accounts {
					for n := uint64(1); n <= 3; n++ {
						must(t, w.s.Commit(t.Context(), obtained(account, "ours", n)))
					}
					for n := uint64(1); n <= tt.version; n++ {
						must(t, other.s.Commit(t.Context(), obtained(account, tt.grant, n)))
					}
				}
				w.backUp()
				w.rewrite()
				for _, account := range accounts {
					in := store.Intent{Account: account, Attempt: "sent", Version: 3, At: w.now, Fingerprint: obtained(account, "ours", 3).Token.RefreshToken.Fingerprint()}
					if intended {
						must(t, w.s.Intend(t.Context(), in))
					}
				}
				w.another("behind")
				for range 100 {
					other.another("more")
				}
				other.backUp()
				b := read(t, w.file())
				frames, log, last := framesOf(b), logOf(b), -1
				for n, at := range frames[:len(frames)-1] {
					if log[at+4] == 1 || log[at+4] == 2 {
						last = n
					}
				}
				must(t, w.s.Close())
				b = withoutFrame(b, frames[last], frames[last+1])
				must(t, os.WriteFile(w.file(), b, 0o600))
				var foreign []string
				for _, backup := range store.Backups(other.dir) {
					path := filepath.Join(w.dir, "backup", strings.Replace(filepath.Base(backup), "20260", "20270", 1))
					must(t, os.WriteFile(path, read(t, backup), 0o600))
					foreign = append(foreign, path)
				}
				if tt.refused {
					_, err := store.Open(w.dir, store.Options{})
					if !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), foreign[0]) || !strings.Contains(err.Error(), "account account-00, account-01") {
						t.Errorf("it was opened, or why not is not said: %v", err)
					}
					if !bytes.Equal(read(t, w.file()), b) {
						t.Error("something was written")
					}
					for _, path := range foreign {
						must(t, os.Remove(path)) // as a person does
					}
				}
				w.open()
				want := map[string]int{}
				for _, account := range accounts {
					want[account] = tt.want
				}
				if got := w.versions(); !maps.Equal(got, want) {
					t.Errorf("came back: %v, want %v", got, want)
				}
				for _, account := range accounts {
					in, open, err := w.s.Intent(t.Context(), account)
					if err != nil || open != (intended && tt.want == -3) || open && in.Attempt != "sent" {
						t.Errorf("the attempt of %s stands: %t, %+v (%v)", account, open, in, err)
					}
				}
			})
		}
	}
}
