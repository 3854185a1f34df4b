package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Intent announces an attempt. It outlives its writer: an intent without an
// answer in the spool is an attempt whose outcome is unknown.
type Intent struct {
	Account  string `json:"account"`
	Provider string `json:"provider"`
	Attempt  string `json:"attempt"`
	// Kind is one of package spool's.
	Kind string `json:"kind"`
	// Version of the record that the attempt starts from.
	Version uint64 `json:"version"`
	// Grant of that record; 0: an older program has announced it.
	Grant uint64 `json:"grant,omitempty"`
	// Fingerprint of what it spends, see [Record.Spends], or of the key that a mint
	// presents, see [Record.Key]; "" for an exchange.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Secret is the fingerprint of the client secret that is presented with it; "": the
	// client has none, or an older program has announced it.
	Secret string `json:"secret,omitempty"`
	// Secrets is the fingerprint of all that the client had then; "": an older program, or
	// a login, has announced it.
	Secrets string    `json:"secrets,omitempty"`
	At      time.Time `json:"at"`
	// Boot is the machine's boot id: what only the page cache held is gone
	// when it has changed.
	Boot string `json:"boot,omitempty"`
	// Spool is the id of the provider's spool, in which the attempt is noted
	// before it is sent: only who holds that very spool, in the same boot, can
	// know that it was not sent. "": nobody can.
	Spool string `json:"spool,omitempty"`
	// Until is when the attempt is over, whoever makes it; zero: not known.
	Until time.Time `json:"until,omitzero"`
	// Replays is the ambiguous attempt that this one tries again, and
	// AmbiguousSince when that one began; "" and zero: none.
	Replays        string    `json:"replays,omitempty"`
	AmbiguousSince time.Time `json:"ambiguous_since,omitzero"`
	// Sends counts the first attempt and those of its replays that may have
	// reached the server, and SentAt is when the newest of them began; 0 and
	// zero: not noted.
	Sends  int       `json:"sends,omitempty"`
	SentAt time.Time `json:"sent_at,omitzero"`
	// Unread: an answer came that may hold the new refresh token, and nobody
	// could read it. The provider's spool has put it aside, as the answer to
	// UnreadAttempt; "": to Replays, or else to Attempt.
	Unread        bool   `json:"unread,omitempty"`
	UnreadAttempt string `json:"unread_attempt,omitempty"`
	// ClientRefused is the fingerprint of the secrets that the client had when the broker
	// refused the one that was presented: nobody knows whether what was sent with it is
	// used up, and as long as the client has these it is not sent again by itself. "":
	// none was refused, or that cost nothing. NothingSent: it was to be sent once more, with
	// Secret, and has not left.
	ClientRefused string `json:"client_refused,omitempty"`
	// Login is the State of the [Login] whose code an exchange spends, or that the
	// attempt ends; "": none, or an older program has announced it.
	Login string `json:"login,omitempty"`
	// Requests, if not nil, take the place of the account's with the announcement,
	// which is one of them: see store.Requests. Not stored in the intent.
	Requests []Request `json:"-"`
	// Before is the intent in whose place this one stands for the time being:
	// a login's, over a refresh of which nobody knows the outcome. Abandon
	// gives it back; a Commit ends both. nil: none.
	Before *Intent `json:"before,omitempty"`

	// Unknown is a JSON object of the fields that a newer program wrote, which
	// survive; "": none.
	Unknown string `json:"-"`
}

// NothingSent is no fingerprint: see [Intent.ClientRefused].
const NothingSent = "nothing sent"

// IsMarked says whether it is of an attempt, or the replay of one, that is
// known to be ambiguous already.
func (in Intent) IsMarked() bool { return !in.AmbiguousSince.IsZero() }

// Basis is what the attempt rests on.
func (in Intent) Basis() Basis { return Basis{in.Version, in.Grant} }

// LeftBy is what of the attempts that in announces is as open as before once rec
// stands, on which it rests from then on: one that sends what rec has, though rec is no
// answer to anything, but was brought, or found. Whether the broker has used that up is
// as unknown as it was. nil: nothing is.
func (in *Intent) LeftBy(rec Record) *Intent {
	found := rec.Origin == OriginImport || rec.Origin == OriginExternal || rec.Origin == OriginRestore
	for ; in != nil && found; in = in.Before {
		if in.Fingerprint != "" && in.Fingerprint == rec.Spends().Fingerprint() {
			left := *in
			left.Version, left.Before, left.Requests = rec.Version, nil, nil
			if left.Grant > 0 {
				left.Grant = rec.Grant
			}
			return &left
		}
	}
	return nil
}

// plainIntent is an Intent without what it does not know.
type plainIntent Intent

// MarshalJSON writes the intent with what it does not know.
func (in Intent) MarshalJSON() ([]byte, error) {
	b, err := json.Marshal(plainIntent(in))
	if err != nil || in.Unknown == "" {
		return b, err
	}
	b[len(b)-1] = ','
	return append(b, in.Unknown[1:]...), nil
}

// UnmarshalJSON reads what MarshalJSON wrote, or a newer program.
func (in *Intent) UnmarshalJSON(b []byte) error {
	*in = Intent{}
	unknown, err := unmarshalWith(b, (*plainIntent)(in), knownIntent)
	if err != nil || unknown == nil {
		return err
	}
	fields := make(map[string]json.RawMessage, len(unknown))
	for name, raw := range unknown {
		fields[name] = raw
	}
	more, err := json.Marshal(fields)
	if err != nil {
		return fmt.Errorf("what a newer program wrote is no JSON: %w", err)
	}
	in.Unknown = string(more)
	return nil
}

// DecodeIntent reads an account's intent.
func DecodeIntent(account string, b []byte) (*Intent, error) {
	in := &Intent{}
	if err := json.Unmarshal(b, in); err != nil || in.Account != account || in.Attempt == "" {
		return nil, errors.New("is no intent of that account")
	}
	return in, nil
}
