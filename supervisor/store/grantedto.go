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
}
