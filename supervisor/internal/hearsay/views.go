package hearsay

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// percent undoes the encoding of addresses (RFC 3986, section 2.1); nil: there
// is none.
func percent(v *view) *view {
	if bytes.IndexByte(v.text, '%') < 0 {
		return nil
	}
	return unquoted(v, func(rest []byte) (string, int) {
		if rest[0] != '%' || len(rest) < 3 {
			return "", 0
		}
		b, err := strconv.ParseUint(string(rest[1:3]), 16, 8)
		if err != nil {
			return "", 0
		}
		return string([]byte{byte(b)}), 3
	})
}

// form undoes what forms do to a space; nil: there is none.
func form(v *view) *view {
	if bytes.IndexByte(v.text, '+') < 0 {
		return nil
	}
	return unquoted(v, func(rest []byte) (string, int) {
		if rest[0] != '+' {
			return "", 0
		}
		return " ", 1
	})
}

// escapes undoes those in the strings of JSON, Go and Python; nil: there are
// none.
func escapes(v *view) *view {
	if bytes.IndexByte(v.text, '\\') < 0 {
		return nil
	}
	return unquoted(v, func(rest []byte) (string, int) {
		if rest[0] != '\\' || len(rest) < 2 {
			return "", 0
		}
		number := func(from, size int) (rune, bool) {
			if len(rest) < from+size {
				return 0, false
			}
			n, err := strconv.ParseUint(string(rest[from:from+size]), 16, 32)
			return rune(n), err == nil
		}
		switch c := rest[1]; c {
		case '"', '\'', '\\', '/':
			return string([]byte{c}), 2
		case 'n', 'r', 't', 'b', 'f':
			return map[byte]string{'n': "\n", 'r': "\r", 't': "\t", 'b': "\b", 'f': "\f"}[c], 2
		case 'x':
			if r, ok := number(2, 2); ok {
				return string([]byte{byte(r)}), 4
			}
		case 'u':
			r, ok := number(2, 4)
			if !ok {
				return "", 0
			}
			if utf16.IsSurrogate(r) && len(rest) >= 12 && rest[6] == '\\' && rest[7] == 'u' {
				if low, ok := number(8, 4); ok {
					return string(utf16.DecodeRune(r, low)), 12
				}
			}
			return string(r), 6
		case 'U':
			if r, ok := number(2, 8); ok && utf8.ValidRune(r) {
				return string(r), 10
			}
		}
		return "", 0
	})
}

// unquoted is v with its quotations undone; quoted says what the one stands for
// that rest begins with, and how long it is; 0: it begins with none. nil: there
// is no quotation.
func unquoted(v *view, quoted func(rest []byte) (string, int)) *view {
	inner, any := sized(len(v.text)), false
	for i := 0; i < len(v.text); {
		means, size := quoted(v.text[i:])
		if size == 0 {
			inner.add(v.text[i], v, i, i+1)
			i++
			continue
		}
		any = true
		for j := range len(means) {
			inner.add(means[j], v, i, i+size)
		}
		i += size
	}
	if !any {
		return nil
	}
	return inner
}

// run is a part of a view in one alphabet: the values of its digits, and where
// they stand.
type run struct {
	values []byte
	at     []int
}

// runs calls f with the longest runs in an alphabet, of at least least digits.
// What was broken into lines is one.
func runs(text []byte, least int, value func(byte) (byte, bool), f func(run)) {
	var r run
	for i := 0; i <= len(text); i++ {
		if i < len(text) {
			if x, ok := value(text[i]); ok {
				r.values, r.at = append(r.values, x), append(r.at, i)
				continue
			}
			if text[i] == '\n' && len(r.values) > 0 {
				continue
			}
		}
		if len(r.values) >= least {
			f(r)
		}
		r.values, r.at = r.values[:0], r.at[:0]
	}
}

// decoded reads a run of digits of some bits each, from its skip-th digit on.
func decoded(v *view, r run, skip, bits int) *view {
	inner := sized((len(r.values) - skip) * bits / 8)
	var sum uint32
	for j, have := 0, 0; skip+j < len(r.values); j++ {
		sum = sum<<bits | uint32(r.values[skip+j])
		have += bits
		if have < 8 {
			continue
		}
		have -= 8
		size := (8 + have + bits - 1) / bits // the digits that a byte has a part in
		first, last := r.at[skip+j-size+1], r.at[skip+j]
		inner.add(byte(sum>>have), v, first, last+1)
	}
	return inner
}

// base64s calls f with what each run of base64 (RFC 4648, both alphabets) says.
// What stands before it may be in the alphabet too, so it may begin at any of
// four digits.
func base64s(v *view, f func(*view)) {
	runs(v.text, shortest*8/6, base64Digit, func(r run) {
		for skip := range 4 {
			if inner := decoded(v, r, skip, 6); len(inner.text) >= shortest {
				f(inner)
			}
		}
	})
}

func base64Digit(c byte) (byte, bool) {
	switch {
	case c >= 'A' && c <= 'Z':
		return c - 'A', true
	case c >= 'a' && c <= 'z':
		return c - 'a' + 26, true
	case c >= '0' && c <= '9':
		return c - '0' + 52, true
	case c == '+' || c == '-':
		return 62, true
	case c == '/' || c == '_':
		return 63, true
	}
	return 0, false
}

// hexes is base64s for hexadecimal digits.
func hexes(v *view, f func(*view)) {
	runs(v.text, 2*shortest, hexDigit, func(r run) {
		for skip := range 2 {
			f(decoded(v, r, skip, 4))
		}
	})
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
