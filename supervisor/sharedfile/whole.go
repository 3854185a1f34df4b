package sharedfile

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/atomicfile"
)

// whole is what the file was like when it was whole the last time: what other
// programs have put into it, its owner and its mode. The token is left out.
type whole struct {
	Path    string      `json:"path"`
	Mode    fs.FileMode `json:"mode"`
	UID     int         `json:"uid"`
	GID     int         `json:"gid"`
	ACL     []byte      `json:"acl,omitempty"`
	Content []byte      `json:"content"`
}

func (w whole) attributes() atomicfile.Attributes {
	return atomicfile.Attributes{Mode: w.Mode, UID: w.UID, GID: w.GID, ACL: string(w.ACL)}
}

// NotePath is where a supervisor with that state directory notes what an
// account's shared file was like when it was whole.
func NotePath(stateDir, account string) string {
	return filepath.Join(stateDir, "shared", account+".json")
}

// LastWhole returns what the note at notePath says was in the shared file at
// path when it was whole, but for the token; nil if it says nothing of it.
func LastWhole(notePath, path string) []byte {
	w, ok := readNote(notePath)
	if !ok || w.Path != path {
		return nil
	}
	return w.Content
}

// readNote takes no note that others can have written or read.
func readNote(path string) (w whole, ok bool) {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 || info.Size() > 2*maxSize {
		return whole{}, false
	}
	b, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(b, &w) != nil || len(w.Content) == 0 || w.Mode == 0 {
		return whole{}, false
	}
	return w, true
}

// isWhole says whether content is of a kind that others' members can be kept
// of: an object with anything in it.
func isWhole(content []byte) bool {
	var members map[string]json.RawMessage
	return json.Unmarshal(content, &members) == nil && len(members) > 0
}

// isRest says whether content, which is no whole document, may be what is left of one.
func isRest(content []byte) bool { return len(bytes.TrimSpace(content)) > 0 && !isWhole(content) }

// memory is what the file was like when it was whole the last time, also in an earlier
// process, if it has a note. It is safe for concurrent use.
type memory struct {
	cfg *Config

	mu    sync.Mutex // guards what follows
	whole *whole     // nil: it has not been seen so yet
	noted bool       // whole is what the note says
}

// remember notes what the file is like, if that has changed. What can't be
// noted is remembered until the end of the process.
func (m *memory) remember(sys files.System, content []byte) {
	bare, err := format.Merge(m.cfg.Format, content, blank(), m.cfg.options())
	if err != nil {
		return
	}
	a, err := atomicfile.AttributesOf(sys, m.cfg.Path)
	if err != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	w := whole{Path: m.cfg.Path, Mode: a.Mode, UID: a.UID, GID: a.GID, ACL: []byte(a.ACL), Content: bare}
	if m.whole != nil && m.noted && same(*m.whole, w) {
		return
	}
	m.whole = &w
	m.noted = m.cfg.Note == "" || writeNote(m.cfg.Note, w) == nil
}

// last returns what is remembered, or noted by an earlier process.
func (m *memory) last() (whole, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.whole == nil && m.cfg.Note != "" {
		if w, ok := readNote(m.cfg.Note); ok && w.Path == m.cfg.Path {
			m.whole = &w
		}
	}
	if m.whole == nil {
		return whole{}, false
	}
	return *m.whole, true
}

// base is what a new token is merged into, and the attributes that the file
// shall have: those that are there, unless it is gone or damaged.
func (m *memory) base(existing []byte) ([]byte, atomicfile.Attributes) {
	if w, ok := m.last(); ok && !isWhole(existing) {
		return w.Content, w.attributes()
	}
	return existing, atomicfile.AsTheyAre()
}

func same(a, b whole) bool {
	return a.attributes() == b.attributes() && bytes.Equal(a.Content, b.Content)
}

func writeNote(path string, w whole) error {
	if old, ok := readNote(path); ok && old.Path == w.Path && same(old, w) {
		return nil
	}
	b, err := json.Marshal(w)
	if err != nil {
		return err
	}
	if err := files.MakeDir(files.OS{}, filepath.Dir(path), 0o700); err != nil {
		return err
	}
	want := atomicfile.Attributes{Mode: 0o600, UID: atomicfile.Unchanged, GID: atomicfile.Unchanged}
	return atomicfile.Replace(context.Background(), files.OS{}, path, b, want)
}

// blank is the token that stands in a note in place of the real one: always
// the same, so that a new token changes no note. Its times have microseconds,
// so that the way in which the file writes them is seen.
func blank() format.Document {
	at := time.Unix(1e9, 123456000)
	return format.Document{
		AccessToken: sdk.NewSecret("-"), RefreshToken: sdk.NewSecret("-"), IssuedAt: at, Expiry: at.Add(time.Hour),
	}
}
