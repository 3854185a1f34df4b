package spool

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"time"
)

// A slot file has two frames at fixed places: the header, which says whose
// attempt this is and how far it came, and the answer.
//
//	frame = magic (4 bytes) | length (4, big endian) | CRC-32C (4) | payload
//
// The answer's checksum also covers the attempt's id, so that an old answer
// under a new header reads as no answer.
const (
	headerMagic  = "TKH1"
	answerMagic  = "TKA1"
	frameHead    = 12
	answerOffset = 4096
	// slotSize is what a slot takes on disk from the start. Answers of token
	// endpoints are a few KiB; a longer one makes the file grow.
	slotSize = 64 << 10
	// maxPayload bounds what a length field is believed to say.
	maxPayload = 4 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errNoFrame = errors.New("no whole frame here")

func encodeFrame(magic, bind string, payload []byte) []byte {
	b := make([]byte, 0, frameHead+len(payload))
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.BigEndian.AppendUint32(b, checksum(bind, payload))
	return append(b, payload...)
}

func decodeFrame(magic, bind string, b []byte) ([]byte, error) {
	if len(b) < frameHead || string(b[:4]) != magic {
		return nil, errNoFrame
	}
	n := binary.BigEndian.Uint32(b[4:8])
	if n > maxPayload || int(n) > len(b)-frameHead {
		return nil, errNoFrame
	}
	payload := b[frameHead : frameHead+int(n)]
	if checksum(bind, payload) != binary.BigEndian.Uint32(b[8:12]) {
		return nil, errNoFrame
	}
	return payload, nil
}

func checksum(bind string, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte(bind), castagnoli), castagnoli, payload)
}

// header is the first frame's payload.
type header struct {
	Header
	Progress Progress  `json:"progress"`
	BegunAt  time.Time `json:"begun_at"`
	// unknown is a JSON object of the fields that a newer program wrote, which
	// survive; "": none.
	unknown string
}

func encodeHeader(h header) ([]byte, error) {
	payload, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	if h.unknown != "" {
		payload[len(payload)-1] = ','
		payload = append(payload, h.unknown[1:]...)
	}
	b := encodeFrame(headerMagic, "", payload)
	if len(b) > answerOffset {
		return nil, errors.New("the attempt's description is longer than a spool slot's header")
	}
	// Padded, so that nothing of a longer predecessor stays behind it.
	return append(b, make([]byte, answerOffset-len(b))...), nil
}

// unknownOf are the fields of a header that this program does not know.
func unknownOf(payload []byte) string {
	var fields map[string]json.RawMessage
	if json.Unmarshal(payload, &fields) != nil {
		return ""
	}
	for _, name := range []string{"attempt", "account", "kind", "version", "fingerprint", "progress", "begun_at"} {
		delete(fields, name)
	}
	if len(fields) == 0 {
		return ""
	}
	b, err := json.Marshal(fields)
	if err != nil {
		return ""
	}
	return string(b)
}

// decodeSlot reads a whole slot file. No header: the slot is free.
func decodeSlot(b []byte) (h header, answer []byte, inUse bool) {
	payload, err := decodeFrame(headerMagic, "", b)
	if err != nil || json.Unmarshal(payload, &h) != nil || h.Attempt == "" {
		return header{}, nil, false
	}
	h.unknown = unknownOf(payload)
	if len(b) > answerOffset {
		if a, err := decodeFrame(answerMagic, h.Attempt, b[answerOffset:]); err == nil {
			return h, a, true
		}
	}
	return h, nil, true
}
