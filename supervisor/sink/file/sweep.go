package file

import (
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/atomicfile"
)

// sweeper removes what killed supervisors left behind. To look, it reads the
// whole directory, which may hold the files of 100,000 accounts: where all of
// a sink's files are in one, it looks for all of them at once, now and then.
type sweeper struct {
	// names of the files; nil: each account has a directory, and in it one
	// file is looked for.
	names *regexp.Regexp

	mu     sync.Mutex
	looked time.Time
}

// leastDigits that nearly every random number of ours has, and few of other
// programs' do: a pattern of names could fit their files too.
const leastDigits = 15

func newSweeper(path string) *sweeper {
	dir, base := filepath.Split(path)
	if !strings.Contains(base, "{") || strings.Contains(dir, "{") {
		return &sweeper{}
	}
	return &sweeper{names: pattern(base)}
}

// after a delivery to path.
func (s *sweeper) after(sys files.System, path string) {
	if s.names == nil {
		atomicfile.SweepBeside(sys, path)
		return
	}
	s.mu.Lock()
	recently := time.Since(s.looked) < atomicfile.LeftAge && !s.looked.IsZero()
	if !recently {
		s.looked = time.Now()
	}
	s.mu.Unlock()
	if recently {
		return
	}
	atomicfile.Sweep(sys, filepath.Dir(path), func(base, random string) bool {
		return base == filepath.Base(path) || len(random) >= leastDigits && s.names.MatchString(base)
	})
}

// pattern of the names that come of base, which holds placeholders.
func pattern(base string) *regexp.Regexp {
	var all strings.Builder
	at := 0
	for _, hole := range placeholder.FindAllStringIndex(base, -1) {
		all.WriteString(regexp.QuoteMeta(base[at:hole[0]]) + "[a-z0-9_-]+")
		at = hole[1]
	}
	return regexp.MustCompile("^" + all.String() + regexp.QuoteMeta(base[at:]) + "$")
}
