package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// journal is an open state file. It begins with two heads, a block each, of which
// every append writes the other one; then come the frames, written twice: the file
// goes on in pairs of stripes that hold the same. So no block of the disk holds
// anything alone.
//
// Behind the last frame are zeros, written and synced ahead of time, so that an
// append is three writes and one fdatasync that changes nothing but data.
type journal struct {
	file *os.File
	// end is how much of the log is written, and room the length of the file.
	end, room int64
	// fresh is end as it was when the file was last compact.
	fresh int64
	last  position
	// format is the version that the heads tell.
	format string
	// identity is what tells the file from any other, and left how we left it.
	identity fs.FileInfo
	left     trace
	// fdatasync is the call, but in a test.
	fdatasync func(fd int) error
}

// position is how far a journal has come: the sequence of its last frame and
// that one's checksum.
type position struct {
	sequence uint64
	sum      uint32
}

const (
	block   = 4096
	headers = 2 * block
	stripe  = 64 << 10
	// roomStep is by how much a file grows.
	roomStep = 2 * stripe
	// firstRoom is set aside for a small store.
	firstRoom = headers + 2*roomStep
	// snapshotFrame is how much of a snapshot one frame has: damage to both of
	// its copies costs so much.
	snapshotFrame = 4 << 10
)

// lanes are the two copies of the log.
const lanes = 2

// physical is where a byte of the log is in the file.
func physical(lane int, at int64) int64 {
	return headers + (at/stripe*lanes+int64(lane))*stripe + at%stripe
}

// lengthFor is the length of a file whose log ends at end.
func lengthFor(end int64) int64 {
	if end == 0 {
		return headers
	}
	return physical(lanes-1, end-1) + 1
}

// head says up to where the file was acknowledged when it was written, and how
// long it was: so it is seen if its end is gone.
type head struct {
	format string
	acked  uint64
	room   int64
}

const headMark = "tokenkeeper journal "

// headLength is the longest that a head can be; the rest of its block is zeros.
const headLength = 96

func (h head) encode() []byte {
	b := fmt.Appendf(make([]byte, 0, headLength), "%s%s %d %d ", headMark, h.format, h.acked, h.room)
	b = fmt.Appendf(b, "%08x\n", crc32.Checksum(b, castagnoli))
	return append(b, make([]byte, headLength-len(b))...)
}

// readHead reads one of the two heads of a file.
func readHead(file []byte, slot int) (h head, ok bool) {
	b := file[min(slot*block, len(file)):min(slot*block+headLength, len(file))]
	line, _, _ := bytes.Cut(b, []byte("\n"))
	if _, err := fmt.Sscanf(string(line), headMark+"%s %d %d", &h.format, &h.acked, &h.room); err != nil || len(h.format) > 16 {
		return head{}, false
	}
	return h, bytes.Equal(h.encode(), b)
}

// createJournal makes a file that holds the values, and has it synced.
func createJournal(path string, f fresh) (j *journal, err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	j = &journal{file: file, format: f.format, room: headers, fdatasync: unix.Fdatasync}
	defer func() {
		if err != nil {
			_ = file.Close()
		}
	}()
	var log []byte
	write := func(fr frame) {
		fr.prev = j.last.sum
		log = append(log, fr.encode()...)
		j.last = position{fr.sequence, binary.LittleEndian.Uint32(log[len(log)-frameTail:])}
	}
	for _, old := range f.history {
		write(old)
	}
	snapshot := frame{kind: frameReset, sequence: f.sequence, at: f.at}
	for _, key := range sortedKeys(f.values) {
		if snapshot.body = appendEntry(snapshot.body, key, f.values[key]); len(snapshot.body) >= snapshotFrame {
			write(snapshot)
			snapshot.kind, snapshot.body = frameMore, nil
		}
	}
	if snapshot.kind == frameReset || len(snapshot.body) > 0 {
		write(snapshot)
	}
	err = j.grow(int64(len(log)))
	if err == nil {
		err = j.writeLog(log, 0)
	}
	j.end = int64(len(log))
	j.fresh = j.end
	for slot := range lanes {
		if err == nil {
			err = j.writeHead(slot, f.sequence)
		}
	}
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = j.leave()
	}
	j.identity = j.left.info
	return j, err
}

// openJournal goes on in a file in which img was read. What a power loss has left of
// the last append in one of the copies is put right in the other.
func openJournal(path string, img *image) (j *journal, err error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	j = &journal{file: file, end: img.end, room: int64(img.length), fresh: img.fresh, last: img.position, format: img.format, fdatasync: unix.Fdatasync}
	for _, torn := range img.torn {
		if err == nil {
			err = j.writeLog(torn.bytes, torn.at)
		}
	}
	if err == nil {
		// The process before this may have died before its own.
		err = j.sync()
	}
	if err == nil {
		err = j.leave()
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	j.identity = j.left.info
	return j, nil
}

// append makes one transaction durable.
func (j *journal) append(f frame) error {
	if len(f.body) > longestBody {
		return fmt.Errorf("a transaction of %d bytes is longer than any that is read", len(f.body))
	}
	f.prev = j.last.sum
	b := f.encode()
	if err := j.grow(j.end + int64(len(b))); err != nil {
		return err
	}
	if err := j.writeLog(b, j.end); err != nil {
		return err
	}
	// What was before this one is durable.
	if err := j.writeHead(int(f.sequence%lanes), j.last.sequence); err != nil {
		return err
	}
	if err := j.sync(); err != nil {
		return err
	}
	j.end += int64(len(b))
	j.last = position{f.sequence, f.sum}
	return j.leave()
}

// close says in the file that it is whole up to its end.
func (j *journal) close() error {
	err := j.writeHead(int(j.last.sequence+1)%lanes, j.last.sequence)
	if err == nil {
		err = j.sync()
	}
	return errors.Join(err, j.file.Close())
}

func (j *journal) sync() error {
	for {
		if err := j.fdatasync(int(j.file.Fd())); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// grow makes room for a log that ends at end, and syncs it: no head tells of room
// that is not there.
func (j *journal) grow(end int64) error {
	if lengthFor(end) <= j.room {
		return nil
	}
	room := max(firstRoom, headers+(end/stripe+1)*roomStep)
	zeros := make([]byte, min(room-j.room, 1<<20))
	for at := j.room; at < room; at += int64(len(zeros)) {
		if _, err := j.file.WriteAt(zeros[:min(int64(len(zeros)), room-at)], at); err != nil {
			return err
		}
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	j.room = room
	return nil
}

// writeLog writes a piece of the log into both lanes.
func (j *journal) writeLog(b []byte, at int64) error {
	for len(b) > 0 {
		n := min(int64(len(b)), stripe-at%stripe)
		for lane := range lanes {
			if _, err := j.file.WriteAt(b[:n], physical(lane, at)); err != nil {
				return err
			}
		}
		b, at = b[n:], at+n
	}
	return nil
}

func (j *journal) writeHead(slot int, acked uint64) error {
	_, err := j.file.WriteAt(head{j.format, acked, j.room}.encode(), int64(slot)*block)
	return err
}

// trace is what a state file looks like from outside.
type trace struct {
	info fs.FileInfo
	// heads are the beginnings of its heads, one of which changes with every
	// append.
	heads [block + headLength]byte
}

// sameTimes says whether the file's length and times are those of the trace.
func (t trace) sameTimes(info fs.FileInfo) bool {
	return t.info.Size() == info.Size() && t.info.ModTime().Equal(info.ModTime())
}

// look returns the trace of the file as it is now.
func (j *journal) look() (t trace, err error) {
	if t.info, err = j.file.Stat(); err == nil {
		// What is behind the end counts as zeros, which no head is.
		if _, err = j.file.ReadAt(t.heads[:], 0); errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err != nil {
		return t, fmt.Errorf("looking at the state file: %w", err)
	}
	return t, nil
}

// leave notes how the file is left. Nobody else may have changed the head that was
// not written.
func (j *journal) leave() (err error) {
	before := j.left
	if j.left, err = j.look(); err != nil {
		return err
	}
	other := (int(j.last.sequence%lanes) + 1) % lanes * block
	if before.info != nil && !bytes.Equal(before.heads[other:][:headLength], j.left.heads[other:][:headLength]) {
		return fileWritten
	}
	return nil
}

// tail returns the newest frames of the log that are younger than since, oldest
// first, as far as there is room for them.
func (j *journal) tail(since time.Time, room int64) (kept []frame) {
	first := max(0, j.end-room) / stripe
	b := make([]byte, headers+j.room-physical(0, first*stripe))
	if _, err := j.file.ReadAt(b[headers:], physical(0, first*stripe)); err != nil {
		return nil // what it is kept for is gone
	}
	r := reader{file: b}
	var last position
	for at := r.resync(0, last); at >= 0; at = r.resync(at, last) {
		f, _ := r.frame(at, last)
		last = position{f.sequence, f.sum}
		if !f.at.Before(since) && f.kind != frameMoved {
			kept = append(kept, f.frame)
		}
		at += int64(f.size)
	}
	return kept
}

// fresh is what a new file is to hold.
type fresh struct {
	values   change
	sequence uint64
	at       time.Time
	format   string
	// history are frames to keep before the values.
	history []frame
}
