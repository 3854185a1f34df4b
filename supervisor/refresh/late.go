package refresh

import (
	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// bringToShared brings an answer's token to the shared file, whose lock is held.
// An answer may come late: it waited in the spool for the next start, or the disk
// took it after hours. Meanwhile another program may have refreshed from the file,
// or logged in, and nobody has that token but the file: it is not written over,
// but looked at once the work on the account ends.
func (k *Keeper) bringToShared(a *leased, in store.Intent, answer sdk.Answer, rec store.Record) {
	justNow := in.Kind == spool.KindExchange && !answer.Recovered // a person has logged in
	if a.cfg.Shared == nil || !a.locked || justNow || k.mayReplace(a, rec) {
		k.writeShared(a, rec)
		return
	}
	k.mu.Lock()
	a.lookWhenIdle()
	k.mu.Unlock()
}

// mayReplace says whether rec may take the place of what the shared file holds:
// nothing is lost by it, or a person has been asked about that very token, and
// wants it so.
func (k *Keeper) mayReplace(a *leased, rec store.Record) bool {
	d, err := a.cfg.Shared.Read()
	if err != nil { // Write says more
		return true
	}
	k.mu.Lock()
	o, now := k.ours(a.account), k.clock.Now().Wall
	decided := a.file.asked.theirs != "" && a.file.asked.theirs == d.RefreshToken.Fingerprint()
	k.mu.Unlock()
	o.Record, o.Open = rec, false
	switch v := o.Judge(lineage.Found{Document: d}, now).Verdict; v {
	case lineage.Silent, lineage.Outlived:
		return true
	default:
		return decided || v.Known() && !v.Newer()
	}
}
