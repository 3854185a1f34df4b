package record

import "time"

// This file holds where a version comes from. "Newer" is a question of that,
// never of a number or a time alone.

// beginsGrant says whether a version of that origin is the first of its grant.
func (o Origin) beginsGrant() bool {
	return o == OriginLogin || o == OriginImport || o == OriginMint
}

// descend says where n, the next version of r, comes from: the answer to a
// refresh of r's refresh token, a grant of its own that a person has brought or that
// was minted, or found somewhere, of which nobody knows.
func (n *Record) descend(r Record) {
	n.Parent = ""
	switch {
	case n.Origin == OriginRefresh:
		n.Parent = r.Spends().Fingerprint()
	case n.Origin.beginsGrant():
		n.Grant++
	}
	n.Grant = max(n.Grant, 1)
}

// Follows says whether n may take the place of r, whose version is one less: an
// answer must have been obtained with r's refresh token, in r's grant. A login, an
// import or a mint begins the grant after r's, and what was found somewhere, of which
// nobody knows, leaves it as it is. So does what is known better of the same token.
func (n Record) Follows(r Record) bool {
	grant, parent := max(r.Grant, 1), ""
	switch {
	case n.Origin == OriginRefresh:
		parent = r.Spends().Fingerprint()
	case n.Origin.beginsGrant():
		grant = r.Grant + 1
	}
	return n.Grant == grant && n.Parent == parent || n.amends(r)
}

// Told is the record's next version, of the same token, in which a person says
// when its login was made.
func (r Record) Told(login, now time.Time) Record {
	r.Version++
	r.StoredAt, r.Held = now, false
	r.LoginAt, r.LoginUncertain = login, false
	return r
}

// amends says whether n has the token of r, and tells the same about where it
// comes from.
func (n Record) amends(r Record) bool {
	return n.Grant == r.Grant && n.Parent == r.Parent && n.Origin == r.Origin && n.Attempt == r.Attempt && (r.Way != WayRefresh || !r.Token.RefreshToken.IsZero()) &&
		n.Token.RefreshToken.Equal(r.Token.RefreshToken) && n.Token.AccessToken.Equal(r.Token.AccessToken)
}
