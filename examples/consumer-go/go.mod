module example.com/consumer

go 1.26.0

require github.com/tokenkeeper/tokenkeeper v0.0.0

require golang.org/x/oauth2 v0.37.0 // indirect

replace github.com/tokenkeeper/tokenkeeper => ../..
