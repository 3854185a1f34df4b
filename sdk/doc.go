// Package sdk is all that the author of a plugin imports, for a broker or for a
// destination of tokens.
//
// A plugin is a program that hands a [Provider] to [Serve]. The smallest one
// implements Describe and Refresh; a provider that also implements
// [Authorizer], [Checker] or [Revoker] gains what these name. Token-endpoint
// requests should go through package sdk/oauth, which keeps the promises that
// single-use refresh tokens need; package sdk/providertest checks a provider
// against the contract.
//
// A sink, which brings tokens to a destination of its own, is a program that
// hands a [Sink] to [ServeSink]; package sdk/sinktest checks it.
package sdk
