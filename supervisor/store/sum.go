package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strconv"
)

// Neither bbolt nor most file systems would notice a flipped bit in a token.
// So every record and intent ends with its own checksum, which makes one that
// is found in the ruins of a file believable, and the store as a whole has the
// sum of everything in it, which also shows what is missing or stale.

// sumLayout is how a signed JSON object ends.
const sumLayout = `,"sum":"%08x"}`

const sumLength = len(`,"sum":"00000000"}`)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sign adds the CRC-32C of all that comes before it to the end of a JSON
// object, which must not be empty.
func sign(object []byte) []byte {
	body := object[:len(object)-1]
	return fmt.Appendf(body[:len(body):len(body)], sumLayout, crc32.Checksum(body, castagnoli))
}

// checkSum says whether sign wrote b and nothing changed it since.
func checkSum(b []byte) bool {
	body := b[:max(0, len(b)-sumLength)]
	return bytes.Equal(b[len(body):], fmt.Appendf(nil, sumLayout, crc32.Checksum(body, castagnoli)))
}

// total is what a whole store adds up to.
type total struct {
	// Sequence grows with each transaction that is tried. Of two files of one
	// store, the one with the higher sequence is the newer.
	Sequence uint64 `json:"sequence"`
	// Sum of every key, its value, and the sequence.
	Sum hexadecimal `json:"sum"`
}

// hexadecimal is a number that JSON readers do not round.
type hexadecimal uint64

func (h hexadecimal) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%016x", uint64(h)), nil }

func (h *hexadecimal) UnmarshalText(b []byte) error {
	n, err := strconv.ParseUint(string(b), 16, 64)
	*h = hexadecimal(n)
	return err
}

// sumOf adds up the values of a store; the order does not matter, so that a
// transaction changes the sum by what it changes (add, twice the same is
// nothing).
func sumOf(values map[string][]byte) (sum uint64) {
	for key, value := range values {
		sum ^= pairSum(key, value)
	}
	return sum
}

func pairSum(key string, value []byte) uint64 {
	h := sha256.New()
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(key)))
	h.Write(length[:])
	h.Write([]byte(key))
	h.Write(value)
	return binary.BigEndian.Uint64(h.Sum(nil))
}

// newTotal is the total of values that add up to sum.
func newTotal(sequence, sum uint64) total {
	return total{sequence, hexadecimal(sum ^ pairSum(keySum, strconv.AppendUint(nil, sequence, 10)))}
}

func (t total) encode() ([]byte, error) {
	b, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("the store's sum can't be written: %w", err)
	}
	return b, nil
}

func decodeTotal(b []byte) (t total, ok bool) {
	ok = b != nil && json.Unmarshal(b, &t) == nil
	return t, ok
}
