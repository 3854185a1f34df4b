package store

import (
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// This file holds what a version that was found somewhere can be gone back from.

// Before is a token that may live, and its login.
type Before struct {
	Token          sdk.Token
	LoginAt        time.Time
	LoginUncertain bool
	RefreshExpiry  time.Time
	// FoundIn is as in a [Record].
	FoundIn   string
	GrantedTo GrantedTo
}

// keptUnproven is how many tokens that were found, and that the broker has never
// seen, a record can go back to.
const keptUnproven = 4

// Unproven is what a version with the token found, which was found somewhere, has
// to keep of r, which it takes the place of: what may live, newest first. It is
// never that token's own refresh token: a refusal of that one is the end of it.
func (r Record) Unproven(found sdk.Token) []Before {
	if r.Version == 0 {
		return nil
	}
	chain := r.Fallback()
	if !r.Refused() {
		chain = append([]Before{{
			Token: r.Token, LoginAt: r.LoginAt, LoginUncertain: r.LoginUncertain, RefreshExpiry: r.RefreshExpiry,
			FoundIn: r.FoundIn, GrantedTo: r.GrantedTo,
		}}, chain...)
	}
	seen := map[string]bool{found.RefreshToken.Fingerprint(): true}
	chain = slices.DeleteFunc(slices.Clone(chain), func(b Before) bool {
		fp := b.Token.RefreshToken.Fingerprint()
		again := seen[fp]
		seen[fp] = true
		return again
	})
	if n := len(chain); n > keptUnproven+1 { // the last one was proven once
		chain = append(chain[:keptUnproven:keptUnproven], chain[n-1])
	}
	return chain
}

// Fallback is what can be gone back to if the broker refuses r, newest first. An
// older program may have left a Before that is over.
func (r Record) Fallback() []Before {
	if r.Origin != OriginExternal && r.Origin != OriginRestore {
		return nil
	}
	return r.Before
}

type beforeLayout struct {
	Token          tokenLayout `json:"token"`
	Uncertain      bool        `json:"expiry_uncertain,omitempty"`
	LoginAt        time.Time   `json:"login_at,omitzero"`
	LoginUncertain bool        `json:"login_uncertain,omitempty"`
	RefreshExpiry  time.Time   `json:"refresh_expiry,omitzero"`
	FoundIn        string      `json:"found_in,omitempty"`
	GrantedTo      GrantedTo   `json:"granted_to,omitzero"`
}

// earlierLayout is what came before Before, newest first. A program that does not
// know it copies it into the next versions, of which it is not true.
type earlierLayout struct {
	Version uint64         `json:"version"`
	Tokens  []beforeLayout `json:"tokens"`
}

func (l *recordLayout) layOutBefore(r Record) {
	var all []beforeLayout
	for _, b := range r.Before {
		all = append(all, beforeLayout{
			Token: layOut(b.Token), Uncertain: b.Token.Uncertain,
			LoginAt: utc(b.LoginAt), LoginUncertain: b.LoginUncertain, RefreshExpiry: utc(b.RefreshExpiry),
			FoundIn: b.FoundIn, GrantedTo: b.GrantedTo,
		})
	}
	if len(all) > 0 {
		l.Before = &all[0]
	}
	if len(all) > 1 {
		l.Earlier = &earlierLayout{Version: r.Version, Tokens: all[1:]}
	}
}

func (l recordLayout) before() (all []Before) {
	if l.Before == nil {
		return nil
	}
	stored := []beforeLayout{*l.Before}
	if e := l.Earlier; e != nil && e.Version == l.Version {
		stored = append(stored, e.Tokens...)
	}
	for _, b := range stored {
		all = append(all, Before{
			Token: b.Token.token(b.Uncertain), LoginAt: moment.Known(b.LoginAt), LoginUncertain: b.LoginUncertain, RefreshExpiry: moment.Known(b.RefreshExpiry),
			FoundIn: b.FoundIn, GrantedTo: b.GrantedTo,
		})
	}
	return all
}

// foundLayout is where one version was found. A program that does not know it
// copies it into the next ones, of which it is not true.
type foundLayout struct {
	In      string `json:"in,omitempty"`
	Version uint64 `json:"version,omitempty"`
}

func layOutFound(r Record) foundLayout {
	if r.FoundIn == "" {
		return foundLayout{}
	}
	return foundLayout{r.FoundIn, r.Version}
}

func (l recordLayout) foundIn() string {
	if l.Found.Version != l.Version {
		return ""
	}
	return l.Found.In
}
