package store

// GrantedTo is whom a broker has given a token to, as the configuration said
// then. Sent by another client, or to another server, a refresh token is worth
// nothing, and the server may take it for stolen. The zero value: not known.
type GrantedTo struct {
	// Client is the fingerprint of the client id.
	Client string `json:"client,omitempty"`
	// Environment of the broker, and host of its token endpoint; "": what the
	// provider takes if nothing is configured.
	Environment string `json:"environment,omitempty"`
	TokenHost   string `json:"token_host,omitempty"`
	// Person is who has logged in.
	Person Person `json:"person,omitzero"`
}

// grantedLayout is a GrantedTo of one version. A program that does not know it
// copies it into the next ones, and those may have come by another client's login.
type grantedLayout struct {
	GrantedTo
	Version uint64 `json:"version,omitempty"`
}

func layOutGrantedTo(r Record) grantedLayout {
	if r.GrantedTo == (GrantedTo{}) {
		return grantedLayout{}
	}
	return grantedLayout{r.GrantedTo, r.Version}
}

func (l recordLayout) grantedTo() GrantedTo {
	if l.GrantedTo.Version != l.Version {
		return GrantedTo{}
	}
	return l.GrantedTo.GrantedTo
}
