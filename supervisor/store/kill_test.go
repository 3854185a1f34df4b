package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/storetest"
)

// childDir tells a process of this test binary that it is the child of a test
// and where its store is; childScenario what it is to do.
const (
	childDir      = "TOKENKEEPER_TEST_STORE"
	childScenario = "TOKENKEEPER_TEST_SCENARIO"
)

// A test that starts processes runs beside no other: what it has forked holds the locks of
// all open stores until it is another program, and who opens one of them then finds it in
// use.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		scenario := os.Getenv(childScenario)
		if err := map[string]func(string) error{"": commitForEver, "faults": commitSome, "trace": writeAll, "opening": openOnce, "anew": writeAnew, "renames": renameForEver}[scenario](dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// commitForEver prints each version when it is durable.
func commitForEver(dir string) error {
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		return err
	}
	ctx := context.Background()
	r, err := s.Load(ctx, "main")
	if err != nil {
		r = store.Record{Account: "main"}
	}
	if in, ok, err := s.Intent(ctx, "main"); err != nil {
		return err
	} else if ok {
		if err := s.Abandon(ctx, "main", in.Attempt, in.Basis(), store.Health{}); err != nil {
			return err
		}
	}
	for {
		attempt := fmt.Sprint("attempt-", r.Version+1)
		if err := s.Intend(ctx, store.Intent{Account: "main", Attempt: attempt, Version: r.Version}); err != nil {
			return err
		}
		fmt.Println("intended", r.Version)
		r = r.Next(storetest.Token("main", r.Version+1), store.OriginRefresh, attempt, r.StoredAt)
		if err := s.Commit(ctx, r); err != nil {
			return err
		}
		fmt.Println("committed", r.Version)
	}
}

// TestKill kills a process that commits without pause, again and again: what
// it said was durable must be there, whole, and with its intent.
func TestKill(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := stateDir(t)
	var last uint64
	afterIntent := 0
	for round := range 12 {
		word, version := killAfter(t, self, dir, 5+7*round, "")
		s := openStore(t, dir)
		r, err := s.Load(t.Context(), "main")
		if err != nil {
			t.Fatal(err)
		}
		in, stands, err := s.Intent(t.Context(), "main")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		// One step more than it said may have become durable.
		if r.Version < version || r.Version > version+1 || r.Version < last {
			t.Fatalf("version %d is stored after %q of %d was printed, and %d before that", r.Version, word, version, last)
		}
		if word == "intended" && r.Version == version && !stands {
			t.Fatalf("the intent from version %d was printed and is gone", version)
		}
		if stands {
			afterIntent++
			if in.Version != r.Version {
				t.Fatalf("an intent from version %d stands beside version %d", in.Version, r.Version)
			}
		}
		if !r.Token.RefreshToken.Equal(storetest.Token("main", r.Version).RefreshToken) {
			t.Fatalf("version %d holds another version's token", r.Version)
		}
		last = r.Version
	}
	t.Logf("12 kills, %d with an intent that stood; version %d reached", afterIntent, last)
}

// killAfter runs a child until it has printed n lines, kills it, and returns
// the last line that it printed.
func killAfter(t *testing.T, self, dir string, n int, scenario string) (word string, version uint64) {
	t.Helper()
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childDir+"="+dir, childScenario+"="+scenario)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for count := 1; lines.Scan(); count++ {
		if count == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := fmt.Sscan(lines.Text(), &word, &version); err != nil {
			t.Fatalf("the child printed %q", lines.Text())
		}
	}
	if err := cmd.Wait(); err == nil || word == "" {
		t.Fatalf("the child ended by itself after %q %d", word, version)
	}
	return word, version
}

// renameForEver gives a login to one of three names after the other, and prints each that
// is durable.
func renameForEver(dir string) error {
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		return err
	}
	ctx := context.Background()
	heads, err := s.Heads(ctx)
	if err != nil {
		return err
	}
	at := 0
	if len(heads) == 0 {
		err = s.Commit(ctx, storetest.First(renames[at]))
	} else {
		at = slices.Index(renames, heads[0].Account)
	}
	for err == nil {
		from, to := renames[at], renames[(at+1)%len(renames)]
		if err = s.Rename(ctx, from, to, store.Basis{Version: 1}); err == nil {
			at = (at + 1) % len(renames)
			fmt.Println("renamed", at)
		}
	}
	return err
}

var renames = []string{"a", "b", "c"}

// TestKillWhileRenaming: whenever the process is killed, the login stands under one name,
// whole: the one that was acknowledged last or the next.
func TestKillWhileRenaming(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := stateDir(t)
	for round := range 8 {
		_, at := killAfter(t, self, dir, 3+5*round, "renames")
		s := openStore(t, dir)
		all, err := storetest.Records(t.Context(), s)
		if err := errors.Join(err, s.Close()); err != nil {
			t.Fatal(err)
		}
		if len(all) != 1 || all[0].Account != renames[at] && all[0].Account != renames[(at+1)%3] {
			t.Fatalf("round %d: %d records after %s was acknowledged", round, len(all), renames[at])
		}
		want := storetest.First("a")
		want.Account = all[0].Account
		if d := storetest.Diff(all[0], want); d != "" {
			t.Error(d)
		}
	}
}
