// Command tokenkeeper-sink-redis lets Tokenkeeper set and publish tokens in
// Redis. It is a program of its own, so that the Redis client is not part of
// the main one.
package main

import (
	"github.com/tokenkeeper/tokenkeeper/plugins/redis"
	"github.com/tokenkeeper/tokenkeeper/sdk"
)

func main() { sdk.ServeSink(redis.New()) }
