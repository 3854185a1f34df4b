package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
)

// pages reads a bbolt file without bbolt, which believes its pages: a damaged
// one makes it panic, also in goroutines of its own, run in circles or write
// over good pages. This believes nothing, always ends, and goes on behind a
// page that it can't read.
//
// The layout (bbolt, internal/common), in the machine's byte order:
//
//	page     id u64 | flags u16 | count u16 | overflow u32 | content
//	meta     magic u32 | version u32 | page size u32 | flags u32 | root bucket |
//	         free list page u64 | pages in use u64 | txid u64 | FNV-1a of all that
//	branch   count × (pos u32 | key size u32 | page u64), keys
//	leaf     count × (flags u32 | pos u32 | key size u32 | value size u32), keys and values
//	bucket   root page u64 | sequence u64 | root 0: the bucket's one page
//
// where pos counts from the element that holds it.
type pages struct {
	file []byte
	size uint64 // of a page
	meta meta
	// metas is how many of the two meta pages are whole.
	metas int
	// taken are the pages that something refers to.
	taken map[uint64]bool
	// buckets names the file's buckets.
	buckets []string
	// values of the one that is ours.
	values map[string][]byte
	errs   []error
	// contested: pages are referred to that should not be; what was found in
	// them may be of an earlier time.
	contested bool
}

type meta struct{ root, freelist, pages, txid uint64 }

const (
	pageHead  = 16
	metaSize  = 64
	branch    = 0x01
	leaf      = 0x02
	freeList  = 0x10
	boltMagic = 0xED0CDAED
	bucketBit = 1
)

var order = binary.NativeEndian

var errPage = errors.New("a page is damaged")

// readPages reads all that can be reached in a file. Unless errs is empty
// something of it is damaged; then values are those that were found.
func readPages(file []byte) *pages {
	p := &pages{file: file, taken: map[uint64]bool{}, values: map[string][]byte{}}
	if !p.readMeta() {
		p.fail("neither meta page is whole")
		return p
	}
	if p.metas < 2 {
		p.fail("one of the meta pages is damaged, and it may have been the newer")
	}
	if p.meta.pages > uint64(len(file))/p.size {
		p.fail("the file is cut off")
	}
	p.walk(p.meta.root, nil, nil, p.topLevel)
	p.checkFree()
	return p
}

func (p *pages) fail(format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("%w: "+format, append([]any{errPage}, args...)...))
}

// readMeta takes the newer of the whole meta pages.
func (p *pages) readMeta() bool {
	// The second one is a page behind the first, which may be damaged.
	for size := uint64(1024); size <= 64<<10; size <<= 1 {
		for _, at := range []uint64{0, size} {
			m, pageSize, ok := p.metaAt(at)
			if !ok || pageSize != size || m.txid%2 != at/size {
				continue
			}
			p.metas++
			if p.metas == 1 || m.txid > p.meta.txid {
				p.size, p.meta = size, m
			}
		}
	}
	return p.metas > 0
}

func (p *pages) metaAt(at uint64) (m meta, pageSize uint64, ok bool) {
	if at+pageHead+metaSize > uint64(len(p.file)) {
		return meta{}, 0, false
	}
	b := p.file[at+pageHead:][:metaSize]
	h := fnv.New64a()
	h.Write(b[:metaSize-8])
	if order.Uint32(b) != boltMagic || order.Uint32(b[4:]) != 2 || order.Uint64(b[metaSize-8:]) != h.Sum64() {
		return meta{}, 0, false
	}
	m = meta{root: order.Uint64(b[16:]), freelist: order.Uint64(b[32:]), pages: order.Uint64(b[40:]), txid: order.Uint64(b[48:])}
	return m, uint64(order.Uint32(b[8:])), true
}

// page returns a page with its overflow, once.
func (p *pages) page(id uint64) ([]byte, bool) {
	if id < 2 || id >= p.meta.pages || id >= uint64(len(p.file))/p.size {
		p.fail("page %d is not in the file", id)
		return nil, false
	}
	b := p.file[id*p.size:]
	length := (uint64(order.Uint32(b[12:])) + 1) * p.size
	if order.Uint64(b) != id || length > uint64(len(b)) {
		p.fail("page %d is another one, or too long", id)
		return nil, false
	}
	for n := id; n < id+length/p.size; n++ {
		if p.taken[n] {
			p.contested = true
			p.fail("page %d is used twice", n)
			return nil, false
		}
		p.taken[n] = true
	}
	return b[:length], true
}

// element is one line of a branch or leaf page.
type element struct {
	flags      uint32
	child      uint64
	key, value []byte
}

// elements returns the lines of a page, whose keys must ascend from low (nil:
// any) to below high (nil: any).
func (p *pages) elements(b, low, high []byte) []element {
	flags, count := order.Uint16(b[8:]), int(order.Uint16(b[10:]))
	if flags != branch && flags != leaf || pageHead+count*16 > len(b) {
		p.fail("it is neither branch nor leaf")
		return nil
	}
	found := make([]element, 0, count)
	for at := pageHead; at < pageHead+count*16; at += 16 {
		var e element
		var pos, keySize, valueSize uint64
		if flags == branch {
			pos, keySize, e.child = uint64(order.Uint32(b[at:])), uint64(order.Uint32(b[at+4:])), order.Uint64(b[at+8:])
		} else {
			e.flags, pos = order.Uint32(b[at:]), uint64(order.Uint32(b[at+4:]))
			keySize, valueSize = uint64(order.Uint32(b[at+8:])), uint64(order.Uint32(b[at+12:]))
		}
		begin := uint64(at) + pos
		if begin+keySize+valueSize > uint64(len(b)) {
			p.fail("an entry is longer than its page")
			continue
		}
		e.key, e.value = b[begin:begin+keySize], b[begin+keySize:begin+keySize+valueSize]
		if low != nil && string(e.key) < string(low) || high != nil && string(e.key) >= string(high) ||
			len(found) > 0 && string(e.key) <= string(found[len(found)-1].key) {
			p.contested = true
			p.fail("the entries are not in order")
		}
		found = append(found, e)
	}
	return found
}

// walk calls fn with every entry of the tree below page id.
func (p *pages) walk(id uint64, low, high []byte, fn func(element)) {
	b, ok := p.page(id)
	if !ok {
		return
	}
	found := p.elements(b, low, high)
	if order.Uint16(b[8:]) == leaf {
		for _, e := range found {
			fn(e)
		}
		return
	}
	if len(found) == 0 {
		p.fail("branch page %d is empty", id)
	}
	for n, e := range found {
		end := high
		if n+1 < len(found) {
			end = found[n+1].key
		}
		p.walk(e.child, e.key, end, fn)
	}
}

func (p *pages) topLevel(e element) {
	p.buckets = append(p.buckets, string(e.key))
	if string(e.key) != string(bucketName) {
		return
	}
	if e.flags != bucketBit || len(e.value) < 16 {
		p.fail("the bucket has no root")
		return
	}
	if root := order.Uint64(e.value); root != 0 {
		p.walk(root, nil, nil, p.keep)
		return
	}
	if len(e.value) < 16+pageHead || order.Uint16(e.value[16+8:]) != leaf {
		p.fail("the bucket has no page")
		return
	}
	for _, e := range p.elements(e.value[16:], nil, nil) {
		p.keep(e)
	}
}

func (p *pages) keep(e element) {
	if e.flags != 0 {
		p.fail("an entry is a bucket")
		return
	}
	p.values[string(e.key)] = e.value
}

// checkFree looks whether each page is either in use or free: bbolt writes
// into those that are free.
func (p *pages) checkFree() {
	b, ok := p.page(p.meta.freelist)
	if !ok {
		return
	}
	count, at := uint64(order.Uint16(b[10:])), uint64(pageHead)
	if count == 0xFFFF {
		count, at = order.Uint64(b[pageHead:]), pageHead+8
	}
	if order.Uint16(b[8:]) != freeList || count > (uint64(len(b))-at)/8 {
		p.fail("the list of free pages is damaged")
		return
	}
	for ; count > 0; count, at = count-1, at+8 {
		id := order.Uint64(b[at:])
		if id < 2 || id >= p.meta.pages || p.taken[id] {
			p.contested = true
			p.fail("page %d is free and in use", id)
			return
		}
		p.taken[id] = true
	}
	if uint64(len(p.taken)) != p.meta.pages-2 {
		p.fail("%d pages are neither free nor in use", p.meta.pages-2-uint64(len(p.taken)))
	}
}

// used is the length of what the file holds, without the room behind it.
func (p *pages) used() int {
	return int(min(p.meta.pages*p.size, uint64(len(p.file))))
}
