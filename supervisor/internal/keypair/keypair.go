// Package keypair is a certificate and its key in two files, as somebody renews them
// while this process runs.
package keypair

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)

// Pair is read again when one of its files has changed. It is safe for concurrent use.
type Pair struct {
	cert, key File

	mu     sync.Mutex
	loaded *tls.Certificate // nil: never
	read   [2]edition       // of which files
	// stale is why what is in the files is not what is loaded, and tried which files
	// those were; nil: it is.
	stale error
	tried [2]edition
}

// File is one that a key of the configuration names.
type File struct{ Key, Path string }

// New reads nothing yet.
func New(cert, key File) *Pair { return &Pair{cert: cert, key: key} }

// edition tells one content of a file from another.
type edition struct {
	inode   os.FileInfo
	size    int64
	changed time.Time
}

func (e edition) same(o edition) bool {
	if e.inode == nil || o.inode == nil { // of one there is none
		return e.inode == o.inode
	}
	return os.SameFile(e.inode, o.inode) && e.size == o.size && e.changed.Equal(o.changed)
}

// Error says why there is nothing to show to the other end.
type Error struct{ err error }

func (e *Error) Error() string { return e.err.Error() }
func (e *Error) Unwrap() error { return e.err }

// Current returns the pair as it is in the files now. While they are being
// replaced and do not fit together, it is the one before.
func (p *Pair) Current() (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, err := p.look()
	if err == nil && p.loaded != nil && now[0].same(p.read[0]) && now[1].same(p.read[1]) {
		p.stale = nil
		return p.loaded, nil
	}
	if err == nil {
		var pair tls.Certificate
		// Its errors speak of formats and quote nothing of the key.
		if pair, err = tls.LoadX509KeyPair(p.cert.Path, p.key.Path); err == nil {
			p.loaded, p.read, p.stale = &pair, now, nil
			return p.loaded, nil
		}
		err = fmt.Errorf("%s and %s can't be used: %w: look whether both are PEM and belong together, and whether the user that runs Tokenkeeper may read them", p.cert.Key, p.key.Key, err)
	}
	if p.stale == nil || p.stale.Error() != err.Error() || !now[0].same(p.tried[0]) || !now[1].same(p.tried[1]) {
		p.stale, p.tried = &Error{err}, now
	}
	if p.loaded != nil {
		return p.loaded, nil
	}
	return nil, p.stale
}

// Stale is why [Pair.Current] did not give, the last time, what is in the files; nil: it
// did. It is another value only if the files, or the reason, are.
func (p *Pair) Stale() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stale
}

func (p *Pair) look() (now [2]edition, err error) {
	for i, file := range [...]File{p.cert, p.key} {
		info, err := os.Stat(file.Path)
		if err != nil {
			return now, fmt.Errorf("%s: %w", file.Key, err)
		}
		if !info.Mode().IsRegular() { // to read a pipe would be to wait for who writes into it
			return now, fmt.Errorf("%s: %s is %s", file.Key, file.Path, files.Kind(info.Mode()))
		}
		now[i] = edition{info, info.Size(), info.ModTime()}
	}
	return now, nil
}
