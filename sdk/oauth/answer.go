package oauth

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"time"
)

// answer is what the token endpoint sent, as it is spooled:
//
//	'H' | length of meta (4 bytes, big endian) | meta as JSON | body
type answer struct {
	meta
	body []byte
}

// meta is all of an answer but its body.
type meta struct {
	Status      int    `json:"status"`
	Date        string `json:"date,omitempty"`
	ContentType string `json:"content_type,omitempty"`
	// ContentEncoding as the header has it. The body is kept as it came, so
	// that a later program may read what this one can't.
	ContentEncoding string `json:"content_encoding,omitempty"`
	RetryAfter      string `json:"retry_after,omitempty"`
	// Received is when the answer's last byte came. A recovered token is as
	// old as its answer.
	Received time.Time `json:"received"`
	// Incomplete says why the body is not whole; "": it is.
	Incomplete string `json:"incomplete,omitempty"`
	// Private is Endpoint.Private at the time of the request.
	Private map[string]string `json:"private,omitempty"`
	// Sent is the fingerprint of the refresh token that was spent, by which an
	// echo of it is known; "": none was, or an older program did not note it.
	Sent string `json:"sent,omitempty"`
	// Exchange: a code was spent and no refresh token, so that none can be an echo.
	// An older program did not note it.
	Exchange bool `json:"exchange,omitempty"`
	// Renews is the fingerprint of the access token that was sent to renew itself: the
	// next one is what the one after it is got with. "": none was, or an older program
	// did not note it.
	Renews string `json:"renews,omitempty"`
}

// answerMark tells this layout from the one of package sdk.
const answerMark = 'H'

var errLayout = errors.New("unknown layout")

func (a answer) encode() []byte {
	// Strings, an int and a time of this century always marshal.
	head, _ := json.Marshal(a.meta)
	b := make([]byte, 0, 5+len(head)+len(a.body))
	b = append(b, answerMark)
	b = binary.BigEndian.AppendUint32(b, uint32(len(head)))
	b = append(b, head...)
	return append(b, a.body...)
}

func decodeAnswer(b []byte) (answer, error) {
	if len(b) < 5 || b[0] != answerMark {
		return answer{}, errLayout
	}
	n := binary.BigEndian.Uint32(b[1:5])
	if uint64(n) > uint64(len(b)-5) {
		return answer{}, errLayout
	}
	a := answer{body: b[5+n:]}
	if json.Unmarshal(b[5:5+n], &a.meta) != nil || a.Status == 0 {
		return answer{}, errLayout
	}
	return a, nil
}
