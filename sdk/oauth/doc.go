// Package oauth is the token-endpoint client for authors of broker plugins:
// golang.org/x/oauth2 made safe for refresh tokens that can be used only once.
//
// What it promises beyond x/oauth2:
//
//   - An attempt sends at most one request: a POST, or a GET where a broker takes
//     nothing else ([EncodingQuery]). Nothing is retried, no redirect is
//     followed, no connection is kept, and the way of client authentication is
//     never probed.
//   - The answer's bytes are durable in the attempt's spool slot before anybody
//     parses them. The same attempt again is answered from the slot, by the
//     same code, and sends nothing.
//   - Whether the request can have reached the server is known: the slot is
//     marked before the first byte is written, and not before there is a
//     connection to write it to.
//   - Errors are sorted into the kinds of package sdk, and their text holds
//     nothing of the answer's body but an OAuth error code.
//
// The answer is read leniently where brokers are sloppy (lifetimes, status
// codes, content types of tokens), and strictly where a mistake would cost a
// login: only a parsed OAuth error says that a grant is dead.
package oauth
