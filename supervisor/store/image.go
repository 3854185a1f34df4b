package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// image is what one file of the store holds.
type image struct {
	// values are the records, intents, ledger lines, alerts and open logins that are whole, in
	// today's format.
	values map[string][]byte
	// total as the file says it; of an older format: what it would be.
	total  total
	format string
	// old: the file is of an older format.
	old bool
	// empty: there is no store in it, and nothing else.
	empty bool
	// length of the file without the room at its end.
	length int
	// err is why the file is not believed as a whole: ErrDamaged, or
	// ErrNewerFormat. What values then holds is whole nevertheless.
	err error
	// stale: something newer than all values may have been in the file.
	stale bool
	// foreign: it is a good file of another program.
	foreign bool
}

// readImage reads what a file holds.
func readImage(file []byte) *image {
	if len(file) == 0 {
		return &image{empty: true}
	}
	p := readPages(file)
	img := &image{values: make(map[string][]byte, len(p.values)), length: p.used()}
	errs := p.errs
	switch {
	case len(errs) > 0:
	case len(p.buckets) == 0:
		img.empty = true
		return img
	case p.values[keyFormat] == nil:
		if img.foreign = len(p.values) == 0; img.foreign {
			errs = append(errs, errors.New("it is a bbolt file of some other program"))
		}
	}
	img.format = string(p.values[keyFormat])
	major, minor, err := checkFormat(img.format)
	if errors.Is(err, ErrNewerFormat) {
		img.err = err
		return img
	}
	if err != nil {
		errs = append(errs, err)
	}
	img.old = err == nil && major < formatMajor
	newer := err == nil && major == formatMajor && minor > formatMinor
	for key, value := range p.values {
		if key == keyFormat || key == keySum {
			continue
		}
		if newer && foreignKey(key) {
			img.values[key] = bytes.Clone(value)
			continue
		}
		value, err := checkValue(key, value, img.old)
		if errors.Is(err, ErrNewerFormat) && checkSum(p.values[key]) { // and no flipped bit
			img.err = err
			return img
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		img.values[key] = value
	}
	sum := sumOf(img.values)
	if img.old {
		img.total = newTotal(0, sum)
	} else {
		img.total, _ = decodeTotal(p.values[keySum])
	}
	if img.total != newTotal(img.total.Sequence, sum) {
		// With nothing else wrong, a page of an earlier time took the place
		// of a newer one.
		img.stale = len(errs) == 0
		errs = append(errs, errors.New("the store does not add up to its sum"))
	}
	img.stale = img.stale || p.metas < 2 || p.contested
	if len(errs) > 0 {
		img.err = fmt.Errorf("%w: %w", ErrDamaged, joinSorted(errs))
	}
	return img
}

// checkValue checks what is under key, and returns it in today's format.
func checkValue(key string, value []byte, old bool) ([]byte, error) {
	value = bytes.Clone(value)
	if account, ok := recordAccount(key); ok {
		r, err := open(account, value)
		if err != nil || !old {
			return value, err
		}
		return seal(r)
	}
	if account, ok := intentAccount(key); ok {
		_, _, err := readIntent(account, value)
		switch {
		case err != nil:
			return nil, err
		case old:
			return sign(value), nil
		case !checkSum(value):
			return nil, fmt.Errorf("%w: the intent of account %s does not have its checksum", ErrDamaged, account)
		}
		return value, nil
	}
	if key, ok := strings.CutPrefix(key, prefixAlerts); ok {
		if _, ok := readAlert(key, value); !ok || !checkSum(value) {
			return nil, fmt.Errorf("%w: an alert can't be read", ErrDamaged)
		}
		return value, nil
	}
	if account, ok := strings.CutPrefix(key, prefixLogins); ok {
		if _, ok := readLogin(account, value); !ok {
			return nil, fmt.Errorf("%w: the open login of account %s can't be read", ErrDamaged, account)
		}
		return value, nil
	}
	if account, ok := strings.CutPrefix(key, prefixRequests); ok {
		if _, ok := readRequests(account, value); !ok {
			return nil, fmt.Errorf("%w: the requests of account %s can't be read", ErrDamaged, account)
		}
		return value, nil
	}
	if account, ok := strings.CutPrefix(key, prefixRefusals); ok {
		if _, ok := readRefusal(account, value); !ok {
			return nil, fmt.Errorf("%w: the refusal of account %s's key can't be read", ErrDamaged, account)
		}
		return value, nil
	}
	if key == keyMachine {
		if readOwner(value).Name.Zero() || !checkSum(value) {
			return nil, fmt.Errorf("%w: the name of its machine can't be read", ErrDamaged)
		}
		return value, nil
	}
	var d Delivery
	if json.Unmarshal(value, &d) != nil || key != ledgerKey(d.Sink, d.Account) {
		return nil, fmt.Errorf("%w: there is a key or a line of the ledger that nobody wrote", ErrDamaged)
	}
	return value, nil
}

// readFile reads a whole file. Parts that the disk does not give are zeros in
// it, and err then is the disk's word.
func readFile(path string) (b []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	// What a failed fsync of an earlier process left in the page cache is not
	// on the disk; it must not be taken for what is.
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	const part = 4096
	b = make([]byte, info.Size())
	if _, err := io.ReadFull(f, b); err == nil {
		return b, nil
	}
	for at := 0; at < len(b); at += part {
		n := min(part, len(b)-at)
		if _, rerr := f.ReadAt(b[at:at+n], int64(at)); rerr != nil {
			clear(b[at : at+n])
			err = rerr
		}
	}
	return b, err
}

// source is a file that holds the store, or may have held it.
type source struct {
	path string
	file []byte
	*image
}

// readSource reads the file at path. One that does not exist is empty. An
// error means that nothing can be said about it.
func readSource(path string) (source, error) {
	file, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return source{path: path, image: &image{empty: true}}, nil
	}
	if err != nil && file == nil {
		return source{}, fmt.Errorf("the state file can't be read: %w", err)
	}
	s := source{path, file, readImage(file)}
	if err != nil {
		s.err = fmt.Errorf("%w: it can't be read (%w)", ErrDamaged, err)
		s.stale = true
	}
	return s, nil
}

// good says whether the file is believed as a whole.
func (s source) good() bool { return s.err == nil && !s.empty }
