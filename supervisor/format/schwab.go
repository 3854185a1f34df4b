package format

// schwabFile is the token file that schwab-py writes (its client and auth
// modules, "token file"; the token as authlib's OAuth2Token holds it): the
// order of the fields is theirs.
type schwabFile struct {
	// CreationTimestamp is the login. Schwab's refresh token dies seven days
	// after it, however often it is used.
	CreationTimestamp int64       `json:"creation_timestamp"`
	Token             schwabToken `json:"token"`
}

type schwabToken struct {
	ExpiresIn    *int64 `json:"expires_in,omitempty"`
	TokenType    string `json:"token_type,omitempty"`
	Scope        string `json:"scope,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	AccessToken  string `json:"access_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	ExpiresAt    int64  `json:"expires_at,omitempty"`
}

func schwabLayout(d Document, _ Options) any {
	login := d.LoginAt
	if login.IsZero() {
		// The field must be there. The latest moment that it can have been
		// makes no reader ask for a login too early.
		login = d.IssuedAt
	}
	f := schwabFile{
		CreationTimestamp: epoch(login),
		Token: schwabToken{
			TokenType: d.TokenType, Scope: d.Scope,
			RefreshToken: d.RefreshToken.Reveal(), AccessToken: d.AccessToken.Reveal(), IDToken: d.IDToken.Reveal(),
			ExpiresAt: epoch(d.Expiry),
		},
	}
	if !d.IssuedAt.IsZero() && !d.Expiry.IsZero() {
		lifetime := max(epoch(d.Expiry)-epoch(d.IssuedAt), 0)
		f.Token.ExpiresIn = &lifetime
	}
	return f
}

func readSchwab(o object, opt Options) Document {
	loc := opt.location()
	t := o.object("token")
	d := Document{
		AccessToken: t.secret("access_token"), RefreshToken: t.secret("refresh_token"), IDToken: t.secret("id_token"),
		TokenType: t.text("token_type"), Scope: t.text("scope"),
		Expiry:  t.time("expires_at", loc),
		LoginAt: o.time("creation_timestamp", loc),
	}
	// Some writers reset it at each refresh.
	d.LoginUncertain = !d.LoginAt.IsZero()
	lifetime, known := t.seconds("expires_in")
	switch {
	case !known:
	case !d.Expiry.IsZero():
		d.IssuedAt = inRange(d.Expiry.Add(-max(lifetime, 0)))
	case !d.LoginAt.IsZero():
		// The token is at least as young as the login; earlier is safer.
		d.Expiry = inRange(d.LoginAt.Add(max(lifetime, 0)))
	}
	return d
}
