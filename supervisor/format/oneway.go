package format

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// OneWay returns the names of the formats that [Encode] writes and nothing
// reads back, in alphabetical order.
func OneWay() []string { return slices.Sorted(maps.Keys(oneWay())) }

func oneWay() map[string]func(Document) ([]byte, error) {
	return map[string]func(Document) ([]byte, error){Env: encodeEnv, MessageName: Message, Raw: encodeRaw}
}

func encodeOneWay(name string, encode func(Document) ([]byte, error), d Document) ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("format %s: %w", name, err)
	}
	b, err := encode(d)
	if err != nil {
		return nil, fmt.Errorf("format %s, account %s: %w", name, d.Account, err)
	}
	return b, nil
}

// encodeRaw has no line end, so that a program which reads the whole file has
// the token.
func encodeRaw(d Document) ([]byte, error) {
	if d.AccessToken.IsZero() {
		return nil, errors.New("there is no access token yet")
	}
	return []byte(d.AccessToken.Reveal()), nil
}

// encodeEnv writes what a POSIX shell reads with ".", and systemd with
// EnvironmentFile=. Times are in epoch seconds; what d does not hold has no
// line.
func encodeEnv(d Document) ([]byte, error) {
	var b strings.Builder
	for _, v := range []struct{ name, value string }{
		{"ACCESS_TOKEN", d.AccessToken.Reveal()},
		{"TOKEN_TYPE", d.TokenType},
		{"EXPIRES_AT", seconds(epoch(d.Expiry))},
		{"EXPIRES", stamp(d.Expiry)},
		{"REFRESH_TOKEN", d.RefreshToken.Reveal()},
		{"REFRESH_EXPIRES_AT", seconds(epoch(d.RefreshExpiry))},
		{"ID_TOKEN", d.IDToken.Reveal()},
	} {
		if v.value == "" {
			continue
		}
		quoted, err := shellQuote(v.value)
		if err != nil {
			return nil, fmt.Errorf("%s %w", v.name, err)
		}
		b.WriteString(v.name + "=" + quoted + "\n")
	}
	return []byte(b.String()), nil
}

func seconds(epoch int64) string {
	if epoch == 0 {
		return ""
	}
	return strconv.FormatInt(epoch, 10)
}

// shellQuote returns s as one word of a shell. What needs no quotes has none,
// because some readers (docker run --env-file) take quotes as a part of the
// value. Double quotes, because systemd does not read a quote within single
// ones as a shell does (systemd.exec(5)); in them a shell keeps all but four
// characters as they are (POSIX.1, 2.2.3).
func shellQuote(s string) (string, error) {
	plain := s != ""
	for i := range len(s) {
		c := s[i]
		switch {
		case c < ' ' || c == 0x7f:
			return "", errors.New("holds a control character, which can't stand in a line")
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("_-./:=+,@%", c) >= 0:
		default:
			plain = false
		}
	}
	if plain {
		return s, nil
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`").Replace(s) + `"`, nil
}
