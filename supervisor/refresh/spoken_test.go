package refresh_test

import (
	"bytes"
	"cmp"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// shape makes of a whole answer what the fault makes of it.
func (f fault) shape(t *sdk.Token) {
	if f.half {
		t.AccessToken = sdk.Secret{}
	}
	if f.says != nil {
		f.says(t)
	}
}

func encodeAnswer(t sdk.Token) []byte {
	return fmt.Appendf([]byte{'F'}, "a%s %s %d %d %d %d %d %s", t.AccessToken.Reveal(), cmp.Or(t.RefreshToken.Reveal(), "-"),
		t.IssuedAt.Unix(), t.IssuedAt.Nanosecond(), t.Lifetime, t.RefreshLifetime, t.Skew, cmp.Or(t.IDToken.Reveal(), "-"))
}

func decodeAnswer(b []byte) (sdk.Token, error) {
	var access, refresh, id string
	var issued, nanos int64
	var lifetime, refreshLife, skew time.Duration
	if half := bytes.HasPrefix(b, []byte("Fa ")); half {
		b = append([]byte("Fa-"), b[2:]...)
	}
	if _, err := fmt.Sscanf(string(b[1:]), "a%s %s %d %d %d %d %d %s", &access, &refresh, &issued, &nanos, &lifetime, &refreshLife, &skew, &id); err != nil {
		return sdk.Token{}, err
	}
	for _, word := range []*string{&access, &refresh, &id} {
		if *word == "-" {
			*word = ""
		}
	}
	return sdk.Token{
		AccessToken: sdk.NewSecret(access), RefreshToken: sdk.NewSecret(refresh), IDToken: sdk.NewSecret(id),
		IssuedAt: time.Unix(issued, nanos), Lifetime: lifetime, RefreshLifetime: refreshLife, Skew: skew,
	}, nil
}
