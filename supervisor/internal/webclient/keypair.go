package webclient

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)

// keyPair is a certificate and its key in two files, which are replaced when
// the certificate is renewed.
type keyPair struct {
	certFile, keyFile string

	mu     sync.Mutex
	loaded *tls.Certificate // nil: never
	read   [2]edition       // of which files
}

// edition tells one content of a file from another.
type edition struct {
	inode   os.FileInfo
	size    int64
	changed time.Time
}

func (e edition) same(o edition) bool {
	return e.inode != nil && o.inode != nil && os.SameFile(e.inode, o.inode) && e.size == o.size && e.changed.Equal(o.changed)
}

// pairError says why there is nothing to show to the receiver.
type pairError struct{ err error }

func (e *pairError) Error() string { return e.err.Error() }
func (e *pairError) Unwrap() error { return e.err }

// current returns the pair as it is in the files now. While they are being
// replaced and do not fit together, it is the one before.
func (p *keyPair) current() (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, err := p.look()
	if err == nil && p.loaded != nil && now[0].same(p.read[0]) && now[1].same(p.read[1]) {
		return p.loaded, nil
	}
	if err == nil {
		var pair tls.Certificate
		// Its errors speak of formats and quote nothing of the key.
		if pair, err = tls.LoadX509KeyPair(p.certFile, p.keyFile); err == nil {
			p.loaded, p.read = &pair, now
			return p.loaded, nil
		}
		err = fmt.Errorf("cert_file and key_file can't be used: %w: look whether both are PEM and belong together, and whether the user that runs Tokenkeeper may read them", err)
	}
	if p.loaded != nil {
		return p.loaded, nil
	}
	return nil, &pairError{err}
}

func (p *keyPair) look() (now [2]edition, err error) {
	for i, path := range [...]string{p.certFile, p.keyFile} {
		info, err := os.Stat(path)
		if err != nil {
			return now, fmt.Errorf("cert_file or key_file: %w", err)
		}
		if !info.Mode().IsRegular() { // to read a pipe would be to wait for who writes into it
			return now, fmt.Errorf("cert_file or key_file: %s is %s", path, files.Kind(info.Mode()))
		}
		now[i] = edition{info, info.Size(), info.ModTime()}
	}
	return now, nil
}
