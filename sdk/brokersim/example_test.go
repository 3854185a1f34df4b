package brokersim_test

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
)

func Example() {
	sim := brokersim.New(brokersim.Config{Dialect: brokersim.Saxo})
	if err := sim.Start(); err != nil {
		panic(err)
	}
	defer sim.Close()

	first := sim.Grant("main")
	refresh := func() int {
		resp, err := http.PostForm(sim.TokenURL(), url.Values{
			"grant_type":    {"refresh_token"},
			"refresh_token": {first.RefreshToken},
			"client_id":     {sim.Config().ClientID},
			"client_secret": {sim.Config().ClientSecret},
		})
		if err != nil {
			panic(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	fmt.Println("first use:", refresh())
	fmt.Println("second use:", refresh())

	newest, _ := sim.Current("main")
	fmt.Println("reuses:", len(sim.Reused()), "grant alive:", newest.Alive)
	// Output:
	// first use: 201
	// second use: 400
	// reuses: 1 grant alive: false
}
