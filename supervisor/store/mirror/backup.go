package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store/journal"
)

const (
	backupPrefix = "tokenkeeper-"
	backupSuffix = ".db"
	// keptBackups is how many backups are kept, the newest of each of the last
	// days that have one, so that many starts in a row do not push out the
	// older ones.
	keptBackups = 7
	// backupEvery is when the next backup is due, and backupAgain when it is after one that
	// could not be made: what is known of that has not faded by then.
	backupEvery = 24 * time.Hour
	backupAgain = 15 * time.Minute
)

// backupName is the path of a backup, without its suffix.
func (p *place) backupName(at time.Time) string {
	return filepath.Join(p.backupDir(), backupPrefix+at.UTC().Format(stampLayout))
}

// BackupDue says whether there is something to back up and the newest backup
// is a day old.
func (m *Mirror) BackupDue(now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	age := now.Sub(m.backedUp)
	// A clock that was put back must not hold up backups.
	return !m.state.Empty() && (age >= backupEvery || age < 0)
}

// Backup copies the state file into the directory "backup" beside it, where
// the newest of each of the last seven days are kept. The copy is verified
// first: a state file that has been damaged is replaced by a fresh one.
func (m *Mirror) Backup(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("backing up the store: %w", err)
		}
	}()
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.file == nil {
		return cmp.Or(m.fault.is(), ErrClosed)
	}
	defer m.watch(m.worksFor())()
	img, err := m.readBack()
	if err != nil {
		defer img.Close()
		if err := m.replaceDamaged(img, err); err != nil {
			return err
		}
		if img, err = m.readBack(); err != nil {
			img.Close()
			return m.unable(err)
		}
	}
	defer img.Close()
	return m.backup(img)
}

// unable notes and tells that no backup could be made.
func (m *Mirror) unable(err error) error {
	m.unbacked, m.backedUp = true, m.options.Now().Add(backupAgain-backupEvery)
	m.tell(Trouble{What: "no backup could be made; check the directory and its disk, it is tried again every quarter of an hour", Path: m.at.backupDir(), Err: err})
	return err
}

// readBack reads the state file, which must be as it was written.
func (m *Mirror) readBack() (*journal.Image, error) {
	if err := m.displaced(); err != nil {
		return journal.ReadBytes(nil), err
	}
	img, err := journal.Check(m.at.file())
	if err != nil {
		return journal.ReadBytes(nil), err
	}
	if !img.EndsWell(m.last) {
		err = journal.ErrDamaged
	}
	return img, err
}

// replaceDamaged goes on in a fresh file. Where there is no room for one, and nothing is
// missing of what was read, it is put right where it is, as at a start.
func (m *Mirror) replaceDamaged(img *journal.Image, damage error) error {
	err := m.leave(nil, "the state file has been damaged; it is replaced", damage)
	if err == nil || !img.Good() || img.Position != m.last || !stillThere(img) {
		return err
	}
	return m.goOn(img)
}

// backupAtOpen backs up a good state file before it is written to, unless the latest
// backup has the same, or there is nothing. A failure is told, and no reason not to go on.
func (m *Mirror) backupAtOpen(img *journal.Image) {
	latest := backup{}
	for _, b := range m.places[0].backups() {
		if b.whole {
			latest = b
			break
		}
	}
	if latest.acked == img.Sequence || m.state.Empty() {
		m.backedUp = latest.at
		return
	}
	_ = m.backup(img)
}

// backup writes what was read into the backup directory.
func (m *Mirror) backup(img *journal.Image) error {
	now := m.options.Now()
	path := m.at.backupName(now) + backupSuffix
	if err := writeBackup(img, path, m.format); err != nil {
		return m.unable(err)
	}
	if m.unbacked {
		m.tell(Trouble{What: "a backup could be made again", Path: path, Recovered: true})
	}
	m.backedUp, m.unbacked = now, false
	m.at.rotate()
	return nil
}

// writeBackup makes a copy durable at path, or leaves nothing there.
func writeBackup(img *journal.Image, path, format string) error {
	dir := filepath.Dir(path)
	if err := prepareDir(dir); err != nil {
		return err
	}
	err := journal.Copy(img, path, format)
	if on := (*fs.PathError)(nil); errors.As(err, &on) {
		// Its path is named for the moment: the same trouble is to be told in the same words.
		return fmt.Errorf("%s: %w", on.Op, on.Err)
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

// Offer puts a copy of what was read among the backups of a directory.
func Offer(dir string, img *journal.Image, now time.Time) (path string, err error) {
	if err := prepareDir(dir); err != nil {
		return "", err
	}
	path = freeName((&place{dir: dir}).backupName(now), backupSuffix)
	if err := writeBackup(img, path, img.Format); err != nil {
		return "", fmt.Errorf("copying %s: %w", img.Path, err)
	}
	return path, nil
}

// Backups are the paths of the backups in a state directory, newest first.
func Backups(dir string) []string { return (&place{dir: dir}).backupPaths() }

// NewestBackup is the backup that goes furthest, and up to where.
func (m *Mirror) NewestBackup() (newest string, acked uint64) {
	for _, p := range m.places {
		for _, b := range p.backups() {
			if b.whole && b.acked > acked {
				newest, acked = b.path, b.acked
			}
		}
	}
	return newest, acked
}

// backup is what its name and its head tell of a backup.
type backup struct {
	path, day, format string
	at                time.Time
	acked             uint64
	whole             bool
}

// backupPaths are the paths of all backups, newest first.
func (p *place) backupPaths() []string {
	paths, _ := filepath.Glob(filepath.Join(p.backupDir(), backupPrefix+"*"+backupSuffix))
	slices.Sort(paths)
	slices.Reverse(paths)
	return paths
}

// backups are all that are there, those with the latest names first.
func (p *place) backups() (all []backup) {
	for _, path := range p.backupPaths() {
		b := backup{path: path}
		name := strings.TrimPrefix(filepath.Base(path), backupPrefix)
		b.day, _, _ = strings.Cut(name, "T")
		b.at, _ = time.Parse(stampLayout, name[:min(len(name), len(stampLayout))])
		b.format, b.acked, b.whole = journal.Head(path)
		all = append(all, b)
	}
	return all
}

// rotate removes backups: of each day all but the newest, and those of days
// before the last seven. One that is damaged counts for nothing, and those of
// another format, which are there for a way back, stay.
func (p *place) rotate() {
	all := p.backups()
	// The names tell the time, but clocks are put back; the transactions are not.
	slices.SortStableFunc(all, func(a, b backup) int { return cmp.Compare(b.acked, a.acked) })
	days := map[string]bool{}
	var damaged []string
	for _, b := range all {
		_, err := journal.CheckFormat(b.format)
		switch {
		case b.whole && errors.Is(err, journal.ErrNewerFormat):
		case !b.whole || err != nil:
			damaged = append(damaged, b.path)
		case days[b.day] || len(days) == keptBackups:
			_ = os.Remove(b.path)
		default:
			days[b.day] = true
		}
	}
	over, _ := filepath.Glob(filepath.Join(p.backupDir(), "*"+journal.PartSuffix))
	if len(days) == keptBackups {
		over = append(over, damaged...)
	}
	for _, path := range over {
		_ = os.Remove(path)
	}
}
