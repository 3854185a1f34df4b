package oauth

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// content is an answer's body as UTF-8, as far as it can be had: without its
// content codings (RFC 9110, section 8.4.1), its byte order and its mark.
type content struct {
	text []byte
	// cut is why more must have followed; "": it is whole.
	cut string
	// fault is why this is no text at all, but what came; "": it is text.
	fault string
}

// unread says why nothing was found in it.
func (c content) unread() string {
	switch {
	case c.fault != "":
		return c.fault
	case c.cut != "":
		return "it is not whole: " + c.cut
	}
	return "its layout is not known"
}

// mostCodings bounds how often a body is decoded: servers apply one, and a
// proxy before them perhaps a second.
const mostCodings = 3

const tooLong = "it is longer than 1 MiB"

// content decodes the body. What it looks like counts more than what its
// header says: content networks compress unasked, and some forget to say so.
func (a answer) content() content {
	c := content{text: a.body, cut: a.Incomplete}
	declared := codings(a.ContentEncoding)
	for range mostCodings {
		open := decoderOf(c.text, declared)
		if open == nil {
			break
		}
		declared = declared[:max(len(declared)-1, 0)]
		if fault := c.inflate(open); fault != "" {
			c.fault = fault
			return c
		}
	}
	c.toUTF8()
	if !isText(c.text) {
		c.fault = "it is no text"
		if len(declared) > 0 && known(declared[len(declared)-1]) == nil {
			c.fault = "it is in a content coding that this program can't decode"
		}
	}
	return c
}

// codings are those that a Content-Encoding names, in the order in which they
// were applied.
func codings(header string) []string {
	var list []string
	for name := range strings.SplitSeq(header, ",") {
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" && name != "identity" {
			list = append(list, name)
		}
	}
	return list
}

type decoder func(io.Reader) (io.ReadCloser, error)

func ungzip(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) }

func unflate(r io.Reader) (io.ReadCloser, error) { return flate.NewReader(r), nil }

// known returns the decoder of a coding, as its name promises; nil: there is
// none.
func known(coding string) decoder {
	switch coding {
	case "gzip", "x-gzip":
		return ungzip
	case "deflate":
		return unflate
	}
	return nil
}

// decoderOf recognises gzip (RFC 1952) and zlib (RFC 1950), which the name
// deflate stands for, by their first bytes; and deflate without its frame (RFC
// 1951), as some servers send it, by that name.
func decoderOf(b []byte, declared []string) decoder {
	switch {
	case bytes.HasPrefix(b, []byte{0x1f, 0x8b, 8}):
		return ungzip
	case len(b) >= 2 && b[0] == 0x78 && (uint(b[0])<<8|uint(b[1]))%31 == 0 && !isText(b):
		return zlib.NewReader
	case len(declared) > 0 && declared[len(declared)-1] == "deflate" && len(b) > 0 && !isText(b):
		return unflate
	}
	return nil
}

// inflate replaces the text by what open makes of it, no more than an answer
// may have. It returns why that can't be done.
func (c *content) inflate(open decoder) (fault string) {
	r, err := open(bytes.NewReader(c.text))
	var out []byte
	if err == nil {
		out, err = io.ReadAll(io.LimitReader(r, maxBody+1))
	}
	switch {
	case len(out) > maxBody:
		c.text, c.cut = out[:maxBody], tooLong
		return ""
	case err == nil, len(out) > 0 && errors.Is(err, gzip.ErrHeader): // something that is not gzip follows a whole stream
		c.text = out
		return ""
	case len(out) > 0 && errors.Is(err, io.ErrUnexpectedEOF):
		c.text = out
		if c.cut == "" {
			c.cut = "its compressed content ends too early"
		}
		return ""
	}
	return "its compressed content is damaged"
}

func beginsJSON(c byte) bool { return strings.IndexByte("{[\" \t\r\n", c) >= 0 }

// toUTF8 takes off the byte order mark. JSON that begins with an ASCII
// character tells UTF-16 by where the zero is (RFC 4627, section 3).
func (c *content) toUTF8() {
	b := c.text
	var big, marked bool
	switch {
	case bytes.HasPrefix(b, []byte{0xef, 0xbb, 0xbf}):
		c.text = b[3:]
		return
	case len(b) < 2:
		return
	case b[0] == 0xfe && b[1] == 0xff:
		big, marked = true, true
	case b[0] == 0xff && b[1] == 0xfe:
		marked = true
	case b[0] == 0 && beginsJSON(b[1]):
		big = true
	case beginsJSON(b[0]) && b[1] == 0:
	default:
		return
	}
	if marked {
		b = b[2:]
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		low, high := b[2*i], b[2*i+1]
		if big {
			low, high = high, low
		}
		units[i] = uint16(high)<<8 | uint16(low)
	}
	c.text = []byte(string(utf16.Decode(units)))
}

// isText: UTF-8 without control characters, but for one character that was cut
// off at the end.
func isText(b []byte) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			return len(b) < utf8.UTFMax && !utf8.FullRune(b)
		}
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' {
			return false
		}
		b = b[n:]
	}
	return true
}
