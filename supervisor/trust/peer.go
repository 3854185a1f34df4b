package trust

import (
	"errors"
	"fmt"
	"path/filepath"
)

// Peer refuses who serves the socket at path with a [*PeerRefusal], unless the
// kernel says (SO_PEERCRED in unix(7)) that it is root, the user that runs this
// process, one of allow, or the owner of the socket's folder, if nobody else can
// put a socket there.
func (j Judge) Peer(path string, uid, pid int, allow []int) error {
	if j.trusts(Rule{Users: allow}, uid) {
		return nil
	}
	refusal := &PeerRefusal{Path: path, PID: pid, User: j.users.user(uid), Key: j.users.key(uid)}
	folder, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return err
	}
	grounds, err := j.Examine(folder, Rule{Users: allow}) // he who may connect may be kept from reading the folder
	if err != nil {
		if why := (*Refusal)(nil); errors.As(err, &why) {
			why.Remedy = "" // allow_uids is, whatever the folder is like
		}
		refusal.Folder = err
		return refusal
	}
	if grounds.Owner != nil && grounds.Owner.UID == uid && !grounds.Shared {
		return nil
	}
	if grounds.Shared {
		refusal.Folder = fmt.Errorf("everybody may open a socket in %s", folder)
	}
	return refusal
}

// PeerRefusal is the error about a socket that somebody serves who is not
// trusted.
type PeerRefusal struct {
	Path string
	// PID is the process that serves it; 0: not looked for.
	PID int
	// User is who serves it, for people; Key is how the configuration names
	// him.
	User, Key string
	// Folder is why its owner alone does not vouch for the socket; nil: he does
	// not serve it.
	Folder error
}

func (r *PeerRefusal) Error() string {
	text := fmt.Sprintf("the socket %s is that of %s, who is not trusted", r.Path, r.User)
	if r.PID != 0 {
		text += fmt.Sprintf(" (process %d)", r.PID)
	}
	text += ": nothing is sent to it"
	if r.Folder != nil {
		text += " (" + r.Folder.Error() + ")"
	}
	return text
}
