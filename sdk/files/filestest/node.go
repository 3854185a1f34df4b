package filestest

import (
	"io/fs"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)

// node is a file, or a directory, whatever its name.
type node struct {
	dir            bool
	kept           []byte
	keptMode, mode fs.FileMode
	writes         []write // since the last sync, in order
}

type write struct {
	at   int64
	data []byte
}

// put returns content with the write in it.
func (w write) put(content []byte) []byte {
	if end := int(w.at) + len(w.data); end > len(content) {
		content = append(content, make([]byte, end-len(content))...)
	}
	copy(content[w.at:], w.data)
	return content
}

// sync makes the content durable, and the mode too if it is asked to.
func (n *node) sync(mode bool) {
	for _, w := range n.writes {
		n.kept = w.put(n.kept)
	}
	n.writes = nil
	if mode {
		n.keptMode = n.mode
	}
}

// handle is an open file.
type handle struct {
	files.File // the real one
	disk       *Disk
	node       *node
	offset     int64 // of Write
}

func (h *handle) step(op string) error { return h.disk.step(op, h.Name()) }

func (h *handle) Read(b []byte) (int, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if err := h.step("read"); err != nil {
		return 0, err
	}
	return h.File.Read(b)
}

func (h *handle) Write(b []byte) (int, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	n, err := h.write(b, h.offset)
	h.offset += int64(n)
	return n, err
}

func (h *handle) WriteAt(b []byte, at int64) (int, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	return h.write(b, at)
}

func (h *handle) write(b []byte, at int64) (int, error) {
	fault := h.step("write")
	if h.disk.down {
		return 0, fault
	}
	if fault != nil {
		b = b[:len(b)/2]
	}
	n, err := h.File.WriteAt(b, at)
	if err != nil {
		return n, err
	}
	h.node.writes = append(h.node.writes, write{at, append([]byte(nil), b...)})
	return n, fault
}

func (h *handle) Stat() (fs.FileInfo, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if err := h.step("fstat"); err != nil {
		return nil, err
	}
	return h.File.Stat()
}

func (h *handle) Chmod(mode fs.FileMode) error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if err := h.step("chmod"); err != nil {
		return err
	}
	h.node.mode = mode
	return h.File.Chmod(mode)
}

func (h *handle) Chown(uid, gid int) error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if err := h.step("chown"); err != nil {
		return err
	}
	return h.File.Chown(uid, gid)
}

func (h *handle) Reserve(n int64) error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if err := h.step("reserve"); err != nil {
		return err
	}
	return h.File.Reserve(n)
}

func (h *handle) Sync() error     { return h.sync("sync", true) }
func (h *handle) Datasync() error { return h.sync("datasync", false) }

// sync does not ask the real disk, which would only take time.
func (h *handle) sync(op string, mode bool) error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if err := h.step(op); err != nil {
		if !h.disk.down {
			h.node.writes = nil
		}
		return err
	}
	if _, err := h.File.Stat(); err != nil {
		return err // closed
	}
	h.node.sync(mode)
	return nil
}

// Close closes the file also where it fails.
func (h *handle) Close() error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	fault := h.step("close")
	if err := h.File.Close(); err != nil {
		return err
	}
	return fault
}
