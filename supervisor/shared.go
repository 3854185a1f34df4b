package supervisor

import (
	"context"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/file"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/readback"
)

// newSharedFile keeps at note what the file is like, "": nowhere, and at deposit
// its lock for an attempt, nil: nowhere. Those of one supervisor have one shelf.
func newSharedFile(c config.SharedFile, note string, deposit sharedfile.Deposit, shelf *sharedfile.Shelf) (*sharedfile.File, error) {
	location := time.Local
	if c.Timezone != "" {
		var err error
		if location, err = time.LoadLocation(c.Timezone); err != nil {
			return nil, fmt.Errorf("shared_file.timezone: %w", err)
		}
	}
	return sharedfile.New(sharedfile.Config{
		Path: c.Path, Lock: c.Lock, Format: c.Format, Location: location, AllowUnsafe: c.UnsafeFilesystem,
		TrustFolder: c.TrustFolder, Note: note, Deposit: deposit, Shelf: shelf,
	})
}

// ReadShared returns what is in a shared file now, without its lock.
func ReadShared(c config.SharedFile) (format.Document, error) {
	f, err := newSharedFile(c, "", nil, nil)
	if err != nil {
		return format.Document{}, err
	}
	return f.Read()
}

// ReadSinkFile returns what the file of a file sink holds of an account now, and
// its path.
func ReadSinkFile(ctx context.Context, c config.Sink, a config.Account) (path string, d format.Document, err error) {
	f, err := file.New(file.Config{
		Path: c.File.Path, Owner: c.File.Owner, TrustFolder: c.File.TrustFolder, Decode: decoder(c.Content),
		Encode: func(format.Document) ([]byte, error) { return nil, nil },
	})
	if err != nil {
		return "", d, err
	}
	held, err := f.Holds(ctx, readback.Question{Account: a.Name, Provider: a.Provider})
	held.Document.WrittenAt = held.At
	return held.File, held.Document, err
}

// sharedWatch is the member of the set of shared files that looks after one
// account's.
type sharedWatch struct {
	file       *sharedfile.File
	stored     *storedLock // nil: nobody keeps its lock over a restart
	account    string
	supervisor *Supervisor
}

// Run tells the account's Keeper of every change. Where changes can't be
// watched, the regular look has to do.
func (w sharedWatch) Run(ctx context.Context) error {
	s := w.supervisor
	k := s.keepers[s.opts.Config.Accounts[w.account].Provider]
	if err := w.file.Watch(ctx, func() { k.Touch(w.account) }); err != nil && ctx.Err() == nil {
		s.log.Warn("the shared file is looked at every 30 s only", "account", w.account, "error", err)
		<-ctx.Done()
	}
	return nil
}
