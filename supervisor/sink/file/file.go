// Package file is the sink that keeps each account's newest token in a file
// for programs that read one.
package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/atomicfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/inotify"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// Config is one file sink.
type Config struct {
	// Path of the file; {account} and {provider} stand for the delivery's. The
	// directory must exist, and package trust says who may have made it.
	Path string
	// Encode makes the file's content.
	Encode func(format.Document) ([]byte, error)
	// Keep is Encode over the content that the file has, of which it keeps what
	// others have put there; nil: nothing is kept.
	Keep func(existing []byte, d format.Document) ([]byte, error)
	// Decode reads what Encode made, or another program wrote; nil: it can't
	// be read back.
	Decode func([]byte) (format.Document, error)
	// Mode of the file; 0: that of the file which is there, 0600 for a new
	// one. A file that is there and gives less is not opened further.
	Mode fs.FileMode
	// Owner is user, user:group or :group, by name or number; "": that of the
	// file which is there.
	Owner string
	// TrustFolder takes a folder that others may write into, whoever owns the
	// file there.
	TrustFolder bool
}

// Sink writes files. A reader sees the old content or the new, never a part:
// the content is written to a new file beside the old one, made durable and
// renamed over it. It implements [sink.Sink], [sink.Tester], [sink.Holder],
// [sink.Watcher] and [sink.Addressed].
type Sink struct {
	cfg   Config
	owner owner
	left  *sweeper
	// inotify is the sink's own: a folder that hangs holds up nobody else's.
	inotify inotify.Instance
	watch   atomic.Pointer[inotify.Follower] // nil: nobody watches
	sys     files.System                     // nil: the directory itself, opened anew for each write

	mu sync.Mutex
	// looked are the files of the accounts that were looked at last, in folders
	// that nobody else can have put there.
	looked map[string]inode
}

var (
	_ sink.Sink   = (*Sink)(nil)
	_ sink.Tester = (*Sink)(nil)
	_ sink.Holder = (*Sink)(nil)

	_ sink.Watcher = (*Sink)(nil)

	_ sink.Addressed = (*Sink)(nil)
)

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

// New checks cfg. It returns an error for an unknown owner or placeholder and
// touches no file.
func New(cfg Config) (*Sink, error) {
	if cfg.Path == "" {
		return nil, errors.New("a file sink needs a path")
	}
	if cfg.Encode == nil {
		return nil, errors.New("a file sink needs a format")
	}
	for _, p := range placeholder.FindAllString(cfg.Path, -1) {
		if p != "{account}" && p != "{provider}" {
			return nil, fmt.Errorf("path: it holds %s: only {account} and {provider} are known", p)
		}
	}
	if cfg.Mode&^fs.ModePerm != 0 {
		return nil, fmt.Errorf("mode %o is more than permissions: use e.g. 0640", uint32(cfg.Mode))
	}
	o, err := parseOwner(cfg.Owner)
	if err != nil {
		return nil, err
	}
	return &Sink{cfg: cfg, owner: o, left: newSweeper(cfg.Path), looked: map[string]inode{}}, nil
}

// Address implements [sink.Addressed].
func (s *Sink) Address() string { return sink.AddressOf("file", s.cfg.Path) }

// Shape implements [sink.Shaped].
func (s *Sink) Shape() []string { return []string{s.cfg.Mode.String(), s.cfg.Owner} }

// Deliver writes the file of the delivery's account.
func (s *Sink) Deliver(ctx context.Context, d sink.Delivery) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path, err := s.path(d.Document)
	if err != nil {
		return fmt.Errorf("%w: %w", sink.ErrRefused, err)
	}
	s.follow(path, d.Document.Account)
	content, err := s.cfg.Encode(d.Document)
	if err != nil {
		return fmt.Errorf("%w in its format: %w", sink.ErrRefused, err)
	}
	if err := s.inDirectory(path, func(sys files.System, path string, want atomicfile.Attributes) error {
		existing := readBounded(sys, path)
		if !d.Reshaped {
			if err := s.keepRest(sys, path, existing); err != nil {
				return err
			}
		}
		err := atomicfile.Replace(ctx, sys, path, s.over(existing, content, d.Document), want)
		if err == nil {
			s.left.after(sys, path)
		}
		return err
	}); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// path is where the document goes. Names from it must not lead elsewhere.
func (s *Sink) path(d format.Document) (string, error) {
	for _, name := range []string{d.Account, d.Provider} {
		if strings.ContainsAny(name, "/\\\x00") || name == ".." {
			return "", fmt.Errorf("the name %q can't be part of a path", name)
		}
	}
	return strings.NewReplacer("{account}", d.Account, "{provider}", d.Provider).Replace(s.cfg.Path), nil
}
