package store

import "testing"

// A name that was forgotten, and used again, keeps what the state file surely has newest,
// though a backup of before has a higher version.
func TestReusedNameKeepsItsNewest(t *testing.T) {
	of := func(version uint64) Record { return Record{Account: "x", Version: version} }
	for name, tt := range map[string]struct {
		first, second bool // whether the backup comes first, and whether the other is the newest
		want          uint64
	}{
		"the backup first":              {first: true, second: true, want: 7},
		"the backup last":               {first: false, second: true, want: 7},
		"the newest may have been lost": {first: true, second: false, want: 50},
	} {
		t.Run(name, func(t *testing.T) {
			r := restoration{records: map[string]restoredRecord{}, named: map[string]bool{}}
			if tt.first {
				r.offer(of(50), "backup", false)
			}
			r.offer(of(7), "state", tt.second)
			if !tt.first {
				r.offer(of(50), "backup", false)
			}
			if got := r.records["x"].Version; got != tt.want {
				t.Errorf("version %d, want %d", got, tt.want)
			}
		})
	}
}
