package store

import "golang.org/x/sys/unix"

// RetryAfter is for the tests of other packages.
const RetryAfter = retryAfter

// BreakFile makes the next write fail, as a lost disk does.
func (b *Bolt) BreakFile() {
	b.mirror.mu.Lock()
	defer b.mirror.mu.Unlock()
	if b.mirror.file != nil {
		f := b.mirror.file.file
		_ = unix.Flock(int(f.Fd()), unix.LOCK_UN) // the memory map would keep it
		_ = f.Close()
	}
}

// BreakTree makes the next write panic, as a damaged tree does.
func (b *Bolt) BreakTree() {
	b.mirror.mu.Lock()
	defer b.mirror.mu.Unlock()
	if b.mirror.file != nil {
		b.mirror.file.db = nil
	}
}

// Die lets go of everything as the end of the process does.
func (b *Bolt) Die() { _ = b.mirror.close() }

// ReadImage is what a state file holds, and why it is not believed.
func ReadImage(file []byte) (map[string][]byte, error) {
	img := readImage(file)
	return img.values, img.err
}
