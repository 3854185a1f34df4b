// Command tokenkeeper-sink-gcp-secret-manager lets Tokenkeeper keep tokens in
// Google Cloud Secret Manager. It is a program of its own, so that Google's
// client library is not part of the main one.
package main

import (
	"github.com/tokenkeeper/tokenkeeper/plugins/gcpsecretmanager"
	"github.com/tokenkeeper/tokenkeeper/sdk"
)

func main() { sdk.ServeSink(gcpsecretmanager.New()) }
