package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	backupPrefix = "tokenkeeper-"
	backupSuffix = ".db"
	// keptBackups is how many backups are kept, the newest of each of the last
	// days that have one, so that many starts in a row do not push out the
	// older ones.
	keptBackups = 7
	// backupEvery is when the next backup is due.
	backupEvery = 24 * time.Hour
)

// backupName is the path of a backup, without its suffix.
func (p *place) backupName(at time.Time) string {
	return filepath.Join(p.backups(), backupPrefix+at.UTC().Format(stampLayout))
}

// BackupDue says whether there is something to back up and the newest backup
// is a day old.
func (b *Journal) BackupDue(now time.Time) bool {
	m := b.mirror
	m.mu.Lock()
	defer m.mu.Unlock()
	age := now.Sub(m.backedUp)
	// A clock that was put back must not hold up backups.
	return !m.state.empty() && (age >= backupEvery || age < 0)
}

// Backup copies the state file into the directory "backup" beside it, where
// the newest of each of the last seven days are kept. The copy is verified
// first: a state file that has been damaged is replaced by a fresh one.
func (b *Journal) Backup(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("backing up the store: %w", err)
	}
	m := b.mirror
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.file == nil {
		if m.fault != nil {
			return fmt.Errorf("backing up the store: %w", m.fault)
		}
		return fmt.Errorf("backing up the store: %w", ErrClosed)
	}
	defer m.watch(m.worksFor())()
	file, err := m.readBack()
	if err != nil {
		if err := m.leave(nil, "the state file has been damaged; it is replaced", err); err != nil {
			return fmt.Errorf("backing up the store: %w", err)
		}
		if file, err = m.readBack(); err != nil {
			return fmt.Errorf("backing up the store: %w", err)
		}
	}
	return m.backup(file, m.file.end)
}

// readBack reads the state file, which must be as it was written.
func (m *mirror) readBack() ([]byte, error) {
	if err := m.displaced(); err != nil {
		return nil, err
	}
	file, err := readFile(m.at.file())
	if err == nil && !m.last.endsWell(file) {
		err = ErrDamaged
	}
	return file, err
}

// backupAtOpen backs up a good state file before it is written to. A failure
// is told, and no reason not to go on.
func (m *mirror) backupAtOpen(s *source) {
	newest, at := m.places[0].newestBackup()
	if newest.acked == s.sequence || s.state.empty() {
		m.backedUp = at
		return
	}
	_ = m.backup(s.file, s.end)
}

// backup writes the file, whose log ends at end, into the backup directory.
func (m *mirror) backup(file []byte, end int64) error {
	now := m.options.Now()
	path := m.at.backupName(now) + backupSuffix
	// A backup has no room at its end, and its heads say so.
	file = append([]byte(nil), file[:min(lengthFor(end), int64(len(file)))]...)
	for slot := range lanes {
		copy(file[slot*block:], head{m.format, m.last.sequence, int64(len(file))}.encode())
	}
	if err := writeBackup(path, file); err != nil {
		err = fmt.Errorf("backing up the store: %w", err)
		m.unbacked = true
		m.tell(Trouble{What: "no backup could be made", Path: m.at.backups(), Err: err})
		return err
	}
	if m.unbacked {
		m.tell(Trouble{What: "a backup could be made again", Path: path, Recovered: true})
	}
	m.backedUp, m.unbacked = now, false
	m.at.rotate()
	return nil
}

// writeBackup makes a copy durable at path, or leaves nothing there.
func writeBackup(path string, b []byte) (err error) {
	dir := filepath.Dir(path)
	if err := prepareDir(dir); err != nil {
		return err
	}
	part := path + ".part"
	defer func() {
		if err != nil {
			_ = os.Remove(part)
		}
	}()
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	copied, err := readFile(part)
	if err != nil {
		return err
	}
	if !bytes.Equal(copied, b) {
		return errors.New("the copy reads back other than it was written")
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	return syncDir(dir)
}

// rotate removes backups: of each day all but the newest, and those of days
// before the last seven. One that is damaged counts for nothing, and those of
// another format, which are there for a way back, stay.
func (p *place) rotate() {
	type backup struct {
		path     string
		sequence uint64
	}
	var good, damaged []backup
	for _, path := range p.backupPaths() {
		h, whole := headOf(path)
		_, err := checkFormat(h.format)
		switch {
		case whole && errors.Is(err, ErrNewerFormat):
		case whole && err == nil:
			good = append(good, backup{path, h.acked})
		default:
			damaged = append(damaged, backup{path: path})
		}
	}
	// The names tell the time, but clocks are put back; the sequence is not.
	slices.SortStableFunc(good, func(a, b backup) int { return cmp.Compare(b.sequence, a.sequence) })
	days := map[string]bool{}
	for _, b := range good {
		day := backupDay(b.path)
		if days[day] || len(days) == keptBackups {
			_ = os.Remove(b.path)
			continue
		}
		days[day] = true
	}
	if len(days) == keptBackups {
		for _, b := range damaged {
			_ = os.Remove(b.path)
		}
	}
	parts, _ := filepath.Glob(filepath.Join(p.backups(), "*.part"))
	for _, path := range parts {
		_ = os.Remove(path)
	}
}

// backupDay is the day that a backup was made on.
func backupDay(path string) string {
	day, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), backupPrefix), "T")
	return day
}

// backupPaths are the paths of all backups, newest first.
func (p *place) backupPaths() []string {
	paths, _ := filepath.Glob(filepath.Join(p.backups(), backupPrefix+"*"+backupSuffix))
	slices.Sort(paths)
	slices.Reverse(paths)
	return paths
}

// newestBackup is the newest backup that is good: up to where it goes, and when it was
// made.
func (p *place) newestBackup() (h head, at time.Time) {
	for _, path := range p.backupPaths() {
		if h, whole := headOf(path); whole {
			name := strings.TrimPrefix(filepath.Base(path), backupPrefix)
			at, _ := time.Parse(stampLayout, name[:min(len(name), len(stampLayout))])
			return h, at
		}
	}
	return head{}, time.Time{}
}

// headOf reads the head of a backup, and says whether the rest of the file is there. That
// it was whole when it was made is known: reading all of them at each start would cost
// more than opening the store.
func headOf(path string) (h head, whole bool) {
	f, info, err := openRegular(path)
	if err != nil {
		return head{}, false
	}
	defer func() { _ = f.Close() }()
	b := make([]byte, headers)
	_, err = f.ReadAt(b, 0)
	h, ok := readHead(b, 0)
	return h, ok && err == nil && h.room == info.Size()
}
