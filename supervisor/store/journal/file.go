package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// File is an open state file. It begins with two heads, a block each, of which
// every append writes the other one; then come the frames, written twice: the file
// goes on in pairs of stripes that hold the same. So no block of the disk holds
// anything alone.
//
// Behind the last frame are zeros, written and synced ahead of time, so that an
// append is three writes and one fdatasync that changes nothing but data.
type File struct {
	file *os.File
	// end is how much of the log is written, and Room the length of the file.
	end, Room int64
	// fresh is end as it was when the file was last compact.
	fresh int64
	last  Position
	// format is the version that the heads tell.
	format string
	// Identity is what tells the file from any other, and left how we left it.
	Identity fs.FileInfo
	left     trace
	// Fdatasync is the call, but in a test.
	Fdatasync func(fd int) error
}

// Position is how far a journal has come: the sequence of its last frame and
// that one's checksum.
type Position struct {
	Sequence uint64
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

// Fresh is what a new file is to hold.
type Fresh struct {
	Values map[string][]byte
	// Sequence is of the last frame of the values, and the one below it of those before:
	// no other frame may have either.
	Sequence uint64
	At       time.Time
	Format   string
	// History are frames to keep before the values.
	History []Frame
}

// Create makes a file that holds the values, and has it synced.
func Create(path string, f Fresh) (*File, error) {
	j := &File{format: f.Format, Room: headers}
	return j.begin(path, os.O_CREATE|os.O_EXCL, func() error { return j.fill(f) })
}

// Open goes on in a file in which img was read. What is in one of the copies alone, because
// a power loss has cut off the last append, or a block is damaged, is put right in the
// other: that needs no room on the disk. The copy that is whole is not touched: should the
// power be lost meanwhile, it is there.
func Open(path string, img *Image) (*File, error) {
	j := &File{end: img.end, Room: int64(img.Length), fresh: img.fresh, last: img.Position, format: img.Format}
	return j.begin(path, 0, func() error { return j.putRight(img) })
}

// begin opens the file, does first what has to be written and synced, and notes how that
// leaves it.
func (j *File) begin(path string, how int, first func() error) (*File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|how, 0o600)
	if err != nil {
		return nil, err
	}
	j.file, j.Fdatasync = file, unix.Fdatasync
	if err = first(); err == nil {
		err = j.leave()
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	j.Identity = j.left.info
	return j, nil
}

// fill writes what a new file is to hold.
func (j *File) fill(f Fresh) error {
	log := bufio.NewWriterSize(freshLog{j}, stripe)
	put := func(one Frame) {
		one.prev = j.last.sum
		_, _ = log.Write(one.encode()) // Flush tells what fails
		j.last = Position{one.sequence, one.sum}
	}
	for _, old := range f.History {
		put(old)
	}
	snapshot := Frame{kind: frameReset, sequence: f.Sequence - 1, at: f.At}
	for _, key := range slices.Sorted(maps.Keys(f.Values)) {
		if snapshot.body = appendEntry(snapshot.body, key, f.Values[key]); len(snapshot.body) >= snapshotFrame {
			put(snapshot)
			snapshot.kind, snapshot.body = frameMore, snapshot.body[:0]
		}
	}
	// The heads acknowledge the last frame, which alone has that sequence: so it is seen if
	// the end of the values is gone.
	snapshot.sequence = f.Sequence
	put(snapshot)
	if err := log.Flush(); err != nil {
		return err
	}
	j.fresh = j.end
	// Zeros stand behind it as far as the file is to go.
	pairs := j.end/stripe + 1
	if err := j.writeLog(make([]byte, pairs*stripe-j.end), j.end, 0, 1); err != nil {
		return err
	}
	j.Room = headers + pairs*roomStep
	if err := j.grow((firstRoom-headers)/lanes - 1); err != nil {
		return err
	}
	if err := j.writeHeads(f.Sequence, 0, 1); err != nil {
		return err
	}
	return j.file.Sync()
}

// putRight writes what one of the copies has alone into the other.
func (j *File) putRight(img *Image) error {
	for _, one := range slices.Concat(img.worn, img.torn) {
		if err := j.writeLog(one.bytes, one.at, 1-one.lane); err != nil {
			return err
		}
	}
	if err := j.writeHeads(img.Acked, img.lost...); err != nil {
		return err
	}
	// The process before this may have died before its own.
	return j.sync()
}

// freshLog writes the log of a file that nobody relies on yet.
type freshLog struct{ *File }

func (l freshLog) Write(b []byte) (int, error) {
	at := l.end
	l.end += int64(len(b))
	return len(b), l.writeLog(b, at, 0, 1)
}

// Append makes one transaction durable. The sequence must be above any that was given
// before.
func (j *File) Append(sequence uint64, at time.Time, c map[string][]byte) error {
	f := Frame{sequence: sequence, at: at, body: encodeChange(c)}
	if len(f.body) > longestBody {
		return fmt.Errorf("a transaction of %d bytes is longer than any that is read", len(f.body))
	}
	f.prev = j.last.sum
	b := f.encode()
	if err := j.grow(j.end + int64(len(b))); err != nil {
		return err
	}
	if err := j.writeLog(b, j.end, 0, 1); err != nil {
		return err
	}
	// What was before this one is durable.
	if err := j.writeHeads(j.last.Sequence, int(f.sequence%lanes)); err != nil {
		return err
	}
	if err := j.sync(); err != nil {
		return err
	}
	j.end += int64(len(b))
	j.last = Position{f.sequence, f.sum}
	return j.leave()
}

// Last is how far the file goes.
func (j *File) Last() Position { return j.last }

// End is how long its log is.
func (j *File) End() int64 { return j.end }

// Fd is the file's descriptor.
func (j *File) Fd() int { return int(j.file.Fd()) }

// bloat is how many times as long as it was a file may become.
const bloat = 4

// Bloated says whether the file has mostly what is over, and is longer than smallest.
func (j *File) Bloated(smallest int64) bool { return j.end >= max(bloat*j.fresh, smallest) }

// Stay takes the file for a fresh one, however long it is.
func (j *File) Stay() { j.fresh = j.end }

// Drop closes the file, and says nothing in it.
func (j *File) Drop() { _ = j.file.Close() }

// Close says in the file that it is whole up to its end.
func (j *File) Close() error {
	err := j.writeHeads(j.last.Sequence, int(j.last.Sequence+1)%lanes)
	if err == nil {
		err = j.sync()
	}
	return errors.Join(err, j.file.Close())
}

func (j *File) sync() error {
	for {
		if err := j.Fdatasync(int(j.file.Fd())); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// grow makes room for a log that ends at end, and syncs it: no head tells of room
// that is not there.
func (j *File) grow(end int64) error {
	if lengthFor(end) <= j.Room {
		return nil
	}
	room := max(firstRoom, headers+(end/stripe+1)*roomStep)
	zeros := make([]byte, min(room-j.Room, 1<<20))
	for at := j.Room; at < room; at += int64(len(zeros)) {
		if _, err := j.file.WriteAt(zeros[:min(int64(len(zeros)), room-at)], at); err != nil {
			return err
		}
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	j.Room = room
	return nil
}

// writeLog writes a piece of the log into those lanes, stripe by stripe.
func (j *File) writeLog(b []byte, at int64, into ...int) error {
	for len(b) > 0 {
		n := min(int64(len(b)), stripe-at%stripe)
		for _, lane := range into {
			if _, err := j.file.WriteAt(b[:n], physical(lane, at)); err != nil {
				return err
			}
		}
		b, at = b[n:], at+n
	}
	return nil
}

// writeHeads says in those heads up to where the file is acknowledged.
func (j *File) writeHeads(acked uint64, slots ...int) error {
	for _, slot := range slots {
		if _, err := j.file.WriteAt(head{j.format, acked, j.Room}.encode(), int64(slot)*block); err != nil {
			return err
		}
	}
	return nil
}

// Tail returns the newest frames of the log that are younger than since, oldest
// first, as far as there is room for them: as much as least, or a quarter of what counts.
func (j *File) Tail(since time.Time, least int64) (kept []Frame) {
	room := max(least, j.fresh/bloat)
	r := newReader(j.file, j.Room)
	var last Position
	for at := r.resync(max(0, j.end-room)/stripe*stripe, last); at >= 0; at = r.resync(at, last) {
		f, _ := r.frame(at, last)
		last = Position{f.sequence, f.sum}
		// Behind the first all are taken, whatever the clocks say: one may delete what is kept.
		if (len(kept) > 0 || !f.at.Before(since)) && f.kind != frameMoved {
			f.body = bytes.Clone(f.body)
			kept = append(kept, f.Frame)
		}
		at += int64(f.size)
	}
	if r.err != nil {
		return nil // what it is kept for is gone
	}
	return kept
}
