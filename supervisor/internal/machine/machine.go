// Package machine tells one machine from another, so that a state directory
// that was cloned or restored elsewhere is noticed: a single-use refresh token
// that two machines spend is lost to both.
package machine

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"time"
)

// Facts are what a machine says of itself.
type Facts struct {
	// ID is /etc/machine-id (machine-id(5)), which a careless clone shares with
	// its original; "": there is none.
	ID string
	// Product is the UUID that the firmware gives (SMBIOS, System Information),
	// which a clone of a virtual machine does not share. Mostly only root may
	// read it; "": not known.
	Product string
	// Host is its name, for people.
	Host string
	// Contained is what shows that this is a container, which has no identity
	// of its own and whose volumes move; "": nothing does.
	Contained string
	// nameless: it stands for all places that have no identity, see [Here].
	nameless bool
}

// Name is how a store names its machine. It holds no fact but the host's name:
// the others are hashed with a salt of the store's own.
type Name struct {
	Salt    string `json:"salt"`
	ID      string `json:"id,omitempty"`
	Product string `json:"product,omitempty"`
	Host    string `json:"host,omitempty"`
}

// NewName names the machine of f.
func NewName(f Facts) Name { return named(rand.Text(), f) }

func named(salt string, f Facts) Name {
	return Name{Salt: salt, ID: hashed(salt, "id", f.ID), Product: hashed(salt, "product", f.Product), Host: f.Host}
}

func hashed(salt, what, fact string) string {
	if fact == "" {
		return ""
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s", salt, what, fact))
	return hex.EncodeToString(sum[:16])
}

// Zero says whether n names no machine.
func (n Name) Zero() bool { return n == Name{} }

// Here is how a store that calls its machine n calls the machine of f.
func (n Name) Here(f Facts) Name { return named(n.Salt, f) }

// Is says whether n names the machine of f: whatever both know of it is the
// same. The host's name counts only where they know nothing else in common.
func (n Name) Is(f Facts) bool {
	here, compared := n.Here(f), false
	for _, fact := range [][2]string{{n.ID, here.ID}, {n.Product, here.Product}} {
		if fact[0] == "" || fact[1] == "" {
			continue
		}
		if fact[0] != fact[1] {
			return false
		}
		compared = true
	}
	return compared || n.Host == here.Host
}

// Learn is n with what f, the facts of the same machine, adds: another account
// of the system may read more of it, and hosts are renamed.
func (n Name) Learn(f Facts) Name {
	here := n.Here(f)
	if here.ID == "" {
		here.ID = n.ID
	}
	if here.Product == "" {
		here.Product = n.Product
	}
	return here
}

// String is for people: the host's name, and what tells it from a clone that
// has the same.
func (n Name) String() string {
	host := n.Host
	if host == "" {
		host = "a machine without a name"
	}
	return fmt.Sprintf("%s (%s)", host, hashed(n.Salt, n.ID, n.Product+" ")[:8])
}

// Owner is what a store says of the machine that may spend its tokens.
type Owner struct {
	Name Name `json:"name"`
	// Stranger is the machine on which the store was found, and which nobody
	// has adopted it for; nil: none.
	Stranger *Stranger `json:"stranger,omitempty"`
}

// Stranger is another machine than the store's own.
type Stranger struct {
	Name Name `json:"name"`
	// Logins are when people logged in there, by account: those grants are its
	// own.
	Logins map[string]time.Time `json:"logins,omitempty"`
}

// Found is what o becomes where the machine is that of f.
func (o Owner) Found(f Facts) Owner {
	switch {
	case o.Name.Zero():
		return Owner{Name: NewName(f)}
	case o.Name.Is(f):
		return Owner{Name: o.Name.Learn(f)}
	case o.Stranger != nil && o.Stranger.Name.Is(f):
		return o
	default:
		return Owner{Name: o.Name, Stranger: &Stranger{Name: o.Name.Here(f)}}
	}
}

// What may be written of the guard in the configuration.
const (
	Auto = "auto"
	On   = "on"
	Off  = "off"
)

// Guarded says whether a store on the machine of f names its machine, by the
// configuration's word; if not, why.
func Guarded(word string, f Facts) (guarded bool, why string) {
	switch {
	case word == Off:
		return false, "machine_guard is off"
	case word == On:
		return true, ""
	case f.Contained != "":
		return false, "this is a container (" + f.Contained + "), which has no identity of its own; machine_guard: on asks for it all the same"
	case f.ID == "":
		return false, "this machine has no /etc/machine-id; machine_guard: on goes by what else is known"
	default:
		return true, ""
	}
}

// Here is what counts as this machine for a store that has that owner, and why the store
// is no machine's; "": it is one's. The store of a machine stays so where [Guarded] would
// not ask, because that place has no identity: it is not that machine, which may run on.
// All places of the kind count as one then, since what they are called changes.
func Here(word string, f Facts, o Owner) (here Facts, unguarded string) {
	guarded, why := Guarded(word, f)
	switch {
	case guarded:
		return f, ""
	case word == Off, o.Name.ID == "" && o.Name.Product == "", o.Name.known(f):
		return f, why
	case f.Contained != "":
		return Facts{Host: "a container", nameless: true}, ""
	}
	return Facts{Host: "one without /etc/machine-id", nameless: true}, ""
}

// known says whether a place that has no identity may be that machine: one whose
// machine-id(5) is gone, or a container that has got that of the machine. A container on
// the same hardware is not: what had the store before may start again beside it.
func (n Name) known(f Facts) bool {
	if f.Contained != "" {
		return n.ID != "" && n.ID == n.Here(f).ID
	}
	return n.Is(f)
}

// Adopted is the owner of a store once a person has said that it is f's: a place without
// an identity leaves it nobody's.
func (o Owner) Adopted(f Facts) Owner {
	if f.nameless {
		return Owner{}
	}
	return Owner{Name: o.Name.Here(f)}
}

// Nameless says whether that is a place without an identity of its own.
func (n Name) Nameless() bool { return n.ID == "" && n.Product == "" }

// Same says whether o and other say the same.
func (o Owner) Same(other Owner) bool { return o.Name == other.Name && o.Stranger == other.Stranger }

// LoggedIn is o, which has a stranger, with a login that was made there.
func (o Owner) LoggedIn(account string, at time.Time) Owner {
	logins := map[string]time.Time{}
	maps.Copy(logins, o.Stranger.Logins)
	logins[account] = at
	o.Stranger = &Stranger{Name: o.Stranger.Name, Logins: logins}
	return o
}
