package sink

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Addressed is for sinks whose configuration says where they deliver to: one that is
// given another address has nothing of what was delivered at the one before, though it
// goes by the same name.
type Addressed interface {
	// Address is made by [AddressOf] of all that says where that is, the same in every
	// process. "": the sink is a [Recipient], which says more.
	Address() string
}

// AddressOf names where these words lead, for the ledger, in which no word of them
// stands: an address may be a secret. What is a secret and no address, such as a
// password, must not be among them, nor what may change while it leads to the same place.
func AddressOf(kind string, words ...string) string {
	h := sha256.New()
	for _, w := range append([]string{kind}, words...) {
		_, _ = fmt.Fprintf(h, "%d:%s", len(w), w)
	}
	return "at " + hex.EncodeToString(h.Sum(nil)[:8])
}

// URLAddress is what of a URL says where it leads: all but the user, the password and what
// in its query sounds like a secret.
func URLAddress(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return text
	}
	u.User = nil
	query := u.Query()
	for name := range query {
		if config.SoundsSecret(name) {
			query.Del(name)
		}
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// CommandAddress is what of the words of a command line says where it leads: all but the
// values of what sounds like a secret by its name, which is before a "=" or is the flag
// before. An address among them is as [URLAddress] has it.
func CommandAddress(words []string) []string {
	var where []string
	secret := false // the word is the value of a flag that sounds like one
	for _, word := range words {
		name, value, joined := strings.Cut(word, "=")
		flag := strings.HasPrefix(word, "-")
		sounds := config.SoundsSecret(strings.TrimLeft(name, "-")) && (joined || flag)
		switch {
		case secret && !flag:
		case sounds:
			where = append(where, name)
		case joined:
			where = append(where, name+"="+URLAddress(value))
		default:
			where = append(where, URLAddress(word))
		}
		secret = sounds && !joined
	}
	return where
}

// here is a line of the ledger without what was delivered at another address. One that
// names none is of an older program, and counts as this one's, so that an upgrade delivers
// nothing once more.
func (d *setup) here(has store.Delivery) store.Delivery {
	if d.address == "" || has.Consumer == "" || has.Consumer == d.address {
		return has
	}
	has.Version, has.At, has.Latency, has.Expiry, has.Consumer = 0, time.Time{}, 0, time.Time{}, ""
	return has
}
