package sdk

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"regexp"

	"google.golang.org/protobuf/proto"

	pb "github.com/tokenkeeper/tokenkeeper/sdk/proto/provider/v1"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// tokenAnswer marks a spooled answer that is a whole Token and not the bytes
// of a token endpoint, which package oauth marks otherwise.
const tokenAnswer = 'T'

// spoolToken makes the result of a provider durable if nothing that it used
// has done so.
func spoolToken(slot *spool.Slot, m *pb.Token) error {
	if fault := slot.Fault(); fault != nil {
		return fault
	}
	if _, ok := slot.Answer(); ok {
		return nil
	}
	b, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	return slot.Record(append([]byte{tokenAnswer}, b...))
}

// spooledToken reads what spoolToken wrote. Any other answer is not ours: the
// provider wrote it, and reads it.
func spooledToken(slot *spool.Slot) (m *pb.Token, ours bool, err error) {
	b, ok := slot.Answer()
	if !ok || len(b) == 0 || b[0] != tokenAnswer {
		return nil, false, nil
	}
	m = &pb.Token{}
	if err := proto.Unmarshal(b[1:], m); err != nil {
		return nil, true, &Error{Kind: KindAmbiguous, Unread: true, Message: "the spooled token can't be read; it stays in the spool"}
	}
	return m, true, nil
}

// statusLine is how an answer begins that was spooled as it came (RFC 9112, section 4).
var statusLine = regexp.MustCompile(`^HTTP/\d(?:\.\d)? (\d)\d\d\b`)

// mayBeSuccess says whether what was spooled may be a success. Of what package oauth
// spools, and of what begins with a status line, the status is known. Whatever else a
// provider has spooled, only that reads: it may be the only copy of the next refresh
// token, so it is one unless it is blank. A provider knows what it got: it says so with
// the kind or the status of its error, and then nobody asks here.
func mayBeSuccess(b []byte) bool {
	const oauthAnswer, head = 'H', 5 // its mark, and the length of what stands before the body
	if m := statusLine.FindSubmatch(b); m != nil {
		return m[1][0] == '2'
	}
	if len(b) < head || b[0] != oauthAnswer {
		return len(bytes.TrimSpace(b)) > 0
	}
	var meta struct {
		Status int `json:"status"`
	}
	n := uint64(binary.BigEndian.Uint32(b[1:head]))
	if n > uint64(len(b)-head) || json.Unmarshal(b[head:head+n], &meta) != nil {
		return true
	}
	return meta.Status/100 == 2
}
