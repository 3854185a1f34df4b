package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// Decoder reads what is stored, one value after the other; one goroutine at a time uses
// it. What many values have alike, as the name of their provider, it makes once. The zero
// value is ready.
//
// Records and lines of the ledger it reads as this program writes most of them, in a tenth
// of the time that encoding/json takes: a store of a hundred thousand accounts is opened
// with it. What is in any way unlike that, it leaves to encoding/json.
type Decoder struct {
	// words are texts as they are read, by what they are as they are written.
	words  map[string]string
	extras []extra
}

// extra is what is delivered beside a token, as it is written and as it is read.
type extra struct {
	text   []byte
	fields map[string]string
}

// How much that values have alike is kept: there are few providers and sinks.
const (
	keptWords   = 1024
	longestWord = 256
	keptExtras  = 16
)

var (
	recordNames    = namesInOrder(reflect.TypeFor[recordLayout]())
	tokenNames     = namesInOrder(reflect.TypeFor[tokenLayout]())
	healthNames    = namesInOrder(reflect.TypeFor[Health]())
	grantedToNames = namesInOrder(reflect.TypeFor[GrantedTo]())
	personNames    = namesInOrder(reflect.TypeFor[Person]())
	deliveryNames  = namesInOrder(reflect.TypeFor[Delivery]())
)

// Record reads the record of an account. Its errors tell nothing of the content.
func (d *Decoder) Record(account string, b []byte) (r Record, err error) {
	if ok := d.plainRecord(account, b, &r); !ok {
		r, err = readAny(b)
	}
	if err == nil && (r.Account != account || r.Version == 0) {
		err = errors.New("is not that account's")
	}
	if err != nil {
		return Record{}, err
	}
	r.Grant = max(r.Grant, 1)
	r.LoginAt, r.RefreshExpiry = moment.Known(r.LoginAt), moment.Known(r.RefreshExpiry)
	return r, nil
}

// Delivery reads what the ledger says of a sink and an account.
func (d *Decoder) Delivery(sink, account string, b []byte) (l Delivery, err error) {
	if ok := d.plainDelivery(account, b, &l); !ok {
		l = Delivery{}
		err = json.Unmarshal(b, &l)
	}
	if err != nil || l.Sink != sink || l.Account != account {
		return Delivery{}, errors.New("is no line of that ledger")
	}
	return l, nil
}

// plainRecord reads a record; false: encoding/json must, and nothing is in r that counts.
func (d *Decoder) plainRecord(account string, b []byte, r *Record) bool {
	p := &plain{b: b, decoder: d}
	p.object(recordNames, func(name string) {
		switch name {
		case "account":
			r.Account = p.name(account)
		case "provider":
			r.Provider = p.word()
		case "version":
			r.Version = p.number()
		case "way":
			r.Way = Way(p.word())
		case "origin":
			r.Origin = Origin(p.word())
		case "attempt":
			r.Attempt = p.text()
		case "stored_at":
			r.StoredAt = p.time()
		case "login_at":
			r.LoginAt = p.time()
		case "login_uncertain":
			r.LoginUncertain = p.truth()
		case "refresh_expiry":
			r.RefreshExpiry = p.time()
		case "found_in":
			r.FoundIn = p.word()
		case "granted_to":
			p.grantedTo(&r.GrantedTo)
		case "accepted_secret":
			r.AcceptedSecret = p.word()
		case "grant":
			r.Grant = p.number()
		case "parent":
			r.Parent = p.text()
		case "fingerprints":
			r.Fingerprints = p.texts()
		case "past":
			r.Past = p.bytes()
		case "health":
			p.health(&r.Health)
		case "token":
			p.token(&r.Token)
		default:
			p.failed = true
		}
	})
	return p.done()
}

func (p *plain) token(t *sdk.Token) {
	p.object(tokenNames, func(name string) {
		switch name {
		case "access_token":
			t.AccessToken = sdk.NewSecret(p.text())
		case "refresh_token":
			t.RefreshToken = sdk.NewSecret(p.text())
		case "token_type":
			t.TokenType = p.word()
		case "scope":
			t.Scope = p.word()
		case "id_token":
			t.IDToken = sdk.NewSecret(p.text())
		case "issued_at":
			t.IssuedAt = moment.Known(p.time())
		case "lifetime":
			t.Lifetime = p.span(p.word())
		case "uncertain":
			t.Uncertain = p.truth()
		case "refresh_lifetime":
			t.RefreshLifetime = p.span(p.word())
		case "skew":
			t.Skew = p.span(p.text())
		case "extra":
			t.Extra = p.extra()
		case "private":
			t.Private = map[string]sdk.Secret{}
			p.each(func(name, value string) { t.Private[name] = sdk.NewSecret(value) })
		default:
			p.failed = true
		}
	})
}

func (p *plain) health(h *Health) {
	p.object(healthNames, func(name string) {
		switch name {
		case "failures":
			h.Failures = p.count()
		case "halves":
			h.Halves = p.count()
		case "last_error":
			h.LastError = p.text()
		case "last_kind":
			h.LastKind = sdk.Kind(p.word())
		case "last_failure":
			h.LastFailure = p.time()
		case "needs_login":
			h.NeedsLogin = p.text()
		case "ambiguous":
			h.Ambiguous = p.time()
		case "key_refused":
			h.KeyRefused = p.text()
		case "revoke_asked":
			h.RevokeAsked = p.time()
		case "revoked":
			h.Revoked = p.time()
		default:
			p.failed = true
		}
	})
}

func (p *plain) grantedTo(g *GrantedTo) {
	p.object(grantedToNames, func(name string) {
		switch name {
		case "client":
			g.Client = p.word()
		case "environment":
			g.Environment = p.word()
		case "token_host":
			g.TokenHost = p.word()
		case "servers":
			g.Servers = p.word()
		case "person":
			p.person(&g.Person)
		default:
			p.failed = true
		}
	})
}

func (p *plain) person(who *Person) {
	p.object(personNames, func(name string) {
		switch name {
		case "fingerprint":
			who.Fingerprint = p.text()
		case "name":
			who.Name = p.text()
		case "assumed":
			who.Assumed = p.truth()
		default:
			p.failed = true
		}
	})
}

// extra reads what is delivered beside a token. Many accounts have the very same, and
// share it.
func (p *plain) extra() map[string]string {
	for _, e := range p.decoder.extras {
		if bytes.HasPrefix(p.b, e.text) { // an object ends where it ends
			p.b = p.b[len(e.text):]
			return e.fields
		}
	}
	whole, fields := p.b, map[string]string{}
	p.each(func(name, value string) { fields[name] = value })
	if text := whole[:len(whole)-len(p.b)]; !p.failed && len(p.decoder.extras) < keptExtras {
		p.decoder.extras = append(p.decoder.extras, extra{bytes.Clone(text), fields})
	}
	return fields
}

// plainDelivery reads a line of the ledger; false: encoding/json must, and nothing is in l
// that counts.
func (d *Decoder) plainDelivery(account string, b []byte, l *Delivery) bool {
	p := &plain{b: b, decoder: d}
	p.object(deliveryNames, func(name string) {
		switch name {
		case "sink":
			l.Sink = p.word()
		case "account":
			l.Account = p.name(account)
		case "version":
			l.Version = p.number()
		case "at":
			l.At = p.time()
		case "latency":
			l.Latency = p.nanoseconds()
		case "expires_at":
			l.Expiry = p.time()
		case "consumer":
			l.Consumer = p.word()
		case "shape":
			l.Shape = p.word()
		case "result":
			l.Result = p.word()
		case "tried_version":
			l.TriedVersion = p.number()
		case "tried_at":
			l.TriedAt = p.time()
		case "error":
			l.Error = p.text()
		case "failures":
			l.Failures = p.count()
		default:
			p.failed = true
		}
	})
	return p.done()
}

// keep remembers a text that many values may have.
func (d *Decoder) keep(written []byte, text string) {
	if len(written) <= longestWord && len(d.words) < keptWords {
		if d.words == nil {
			d.words = map[string]string{}
		}
		d.words[string(written)] = text
	}
}
