package process

import "testing"

// Of a process that lets nobody look into it the name is all that tells whether
// it is a provider.
func TestPredecessorsName(t *testing.T) {
	p := Predecessor{Programs: []string{"provider-saxo", "tokenkeeper-provider-saxo", "broker.py"}}
	for program, want := range map[string]bool{
		"provider-saxo": true, "tokenkeeper-pro": true, "broker.py": true,
		"": false, "tokenkeeper": false, "tokenkeeper-provider-saxo": false, "ssh-agent": false, "provider-schwab": false,
	} {
		if got := p.isNamed(program); got != want {
			t.Errorf("%q may be a predecessor: %t, want %t", program, got, want)
		}
	}
}
