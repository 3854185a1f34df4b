package atomicfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)

// Prepared is a file that is ready to replace another: whatever can stand in
// the way of that (a full or foreign folder, a quota, an owner that can't be
// kept, a mounted file) has been found out. It ends with Put or Discard. It is
// not safe for concurrent use.
type Prepared struct {
	sys       files.System
	dir, path string
	room      int
	asked     Attributes // as they were asked for
	want      Attributes // as they are to be
	acl       []byte
	labels    []label
	f         files.File
}

// Prepare proves that the file at path can be replaced by up to room bytes, and
// keeps what is needed for it: a file beside path that has its attributes and
// its room on the disk. Nothing is to be seen at path yet. See [Replace] for
// the rest.
func Prepare(sys files.System, path string, room int, want Attributes) (p *Prepared, err error) {
	if err := obstacle(path); err != nil {
		return nil, err
	}
	p = &Prepared{sys: sys, path: path, dir: dirOf(path), room: room, asked: want}
	if p.want, p.acl, err = want.over(sys, path); err != nil {
		return nil, err
	}
	p.labels = getLabels(sys, path)
	if p.f, err = createTemp(sys, path); err != nil {
		return nil, explain(path, err)
	}
	err = p.dress()
	if err == nil && room > 0 {
		err = p.f.Reserve(int64(room)) // after chown: it counts against the owner's quota
	}
	if err != nil {
		p.Discard()
		return nil, explain(path, err)
	}
	return p, nil
}

// dress gives the file the attributes that it shall have.
func (p *Prepared) dress() error {
	if err := chown(p.f, p.want); err != nil {
		return err
	}
	setLabels(p.f, p.labels) // before the mode, which may let even us not write
	// After chown, which may clear bits. A list holds the whole mode: a chmod
	// before it would let the owning group in for a moment.
	if p.acl == nil {
		return p.f.Chmod(p.want.Mode)
	}
	if err := setACL(p.f, p.acl); err != nil {
		return fmt.Errorf("its access control list can't be kept: %w", err)
	}
	return nil
}

// Put replaces the file by content. If the file's attributes or its folder have
// changed since, all is prepared anew. See [Replace] for the rest.
func (p *Prepared) Put(ctx context.Context, content []byte) error {
	if p.stands() {
		return p.put(ctx, content)
	}
	p.Discard()
	return Replace(ctx, p.sys, p.path, content, p.asked)
}

// stands says whether all is as it was when p was prepared.
func (p *Prepared) stands() bool {
	want, acl, err := p.asked.over(p.sys, p.path)
	if err != nil || want != p.want || !bytes.Equal(acl, p.acl) || !slices.Equal(getLabels(p.sys, p.path), p.labels) {
		return false
	}
	ours, err := p.f.Stat()
	if err != nil {
		return false
	}
	named, err := p.sys.Lstat(p.f.Name())
	return err == nil && os.SameFile(ours, named)
}

func (p *Prepared) put(ctx context.Context, content []byte) (err error) {
	defer func() {
		if err != nil && !errors.Is(err, ErrNotDurable) {
			_ = p.sys.Remove(p.f.Name())
		}
	}()
	_, err = p.f.Write(content)
	if err == nil {
		err = p.f.Sync()
	}
	if err = errors.Join(err, p.f.Close()); err != nil {
		return explain(p.path, err)
	}
	// A write that took longer than it may must not be seen: a newer one could
	// be there already.
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := p.sys.Rename(p.f.Name(), p.path); err != nil {
		return explain(p.path, err)
	}
	if err := p.sys.SyncDir(p.dir); err != nil {
		return fmt.Errorf("%w: %w", ErrNotDurable, explain(p.path, err))
	}
	return nil
}

// Discard gives up what was prepared.
func (p *Prepared) Discard() {
	_ = p.f.Close()
	_ = p.sys.Remove(p.f.Name())
}

// Replaceable says whether the file at path can be replaced by size bytes: nil,
// or why not and what to do about it. It goes all the way but for the last
// step, and leaves nothing behind.
func Replaceable(sys files.System, path string, size int, want Attributes) error {
	p, err := Prepare(sys, path, size, want)
	if err != nil {
		return err
	}
	_, err = p.f.Write(bytes.Repeat([]byte(" "), size))
	if err == nil {
		err = p.f.Sync()
	}
	return explain(path, errors.Join(err, p.f.Close(), p.sys.Remove(p.f.Name())))
}
