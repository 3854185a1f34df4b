package client

import (
	"context"
	"net/url"
	"strconv"
	"time"
)

// UsableToken returns a token that lives for more than margin from now on. If the newest
// does not, the supervisor refreshes the account, once for all who ask, and the call waits
// for that, up to a minute and a half. [ErrExpired]: no token of the account lives so
// long. [ErrNotYet]: a pause, or what the broker allows, keeps it from being refreshed;
// what [Client.Token] returns may still live for a while. [ErrNeedsLogin]: it takes a
// person.
func (c *Client) UsableToken(ctx context.Context, account string, margin time.Duration) (Token, error) {
	return c.token(ctx, account, url.Values{"min_valid": {max(margin, 0).String()}})
}

// NewerToken returns a newer token than one that the broker's API has refused: the newest
// if that is newer, and else what a refresh brings, for which the call waits, up to a
// minute and a half. The supervisor refreshes an account once in a minute for this,
// whoever asks, and tells the others [ErrNotYet]; other errors are as of
// [Client.UsableToken]. Ask when the API has refused the token (401), and for nothing
// else that it refuses.
func (c *Client) NewerToken(ctx context.Context, account string, refused Token) (Token, error) {
	return c.token(ctx, account, url.Values{"if_version": {strconv.FormatUint(refused.Version, 10)}})
}
