package sinktest

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// canary is in every secret of the suite, so that one search finds any of them.
const canary = "CANARY"

const clientSecret = "secret-" + canary

func accessToken(account string, version uint64) string {
	return fmt.Sprintf("access-%s-%s-%d.", canary, account, version)
}

func refreshToken(account string, version uint64) string {
	return fmt.Sprintf("refresh-%s-%s-%d.", canary, account, version)
}

// Bare is a delivery as a sink without include_refresh_token gets it.
func Bare(account string, version uint64) sink.Delivery {
	issued := time.Now().Truncate(time.Second)
	return sink.Delivery{
		ID:      fmt.Sprintf("msg_%s_%d", account, version),
		Version: version,
		Document: format.Document{
			Account: account, Provider: "broker", Version: version,
			AccessToken: sdk.NewSecret(accessToken(account, version)),
			TokenType:   "Bearer", Scope: "trade",
			IssuedAt: issued, Expiry: issued.Add(30 * time.Minute), LoginAt: issued.Add(-time.Hour),
		},
	}
}

// Full is a delivery with everything that a sink may see.
func Full(account string, version uint64) sink.Delivery {
	d := Bare(account, version)
	d.Document.RefreshToken = sdk.NewSecret(refreshToken(account, version))
	d.Document.IDToken = sdk.NewSecret("id-" + canary)
	d.Document.ClientID = "app"
	d.Document.ClientSecret = sdk.NewSecret(clientSecret)
	return d
}

// AssertNoSecret fails the test if err holds one of the suite's secrets, in its
// text or anywhere in the values that it is made of.
func AssertNoSecret(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
		if tells(text) {
			t.Errorf("an error tells a secret: %s", text)
			return
		}
	}
	if where := search(reflect.ValueOf(err), "err", map[uintptr]bool{}, 0); where != "" {
		t.Errorf("an error holds a secret in %s", where)
	}
}

// tells searches for the canary, plain and in the encodings that programs like
// to print.
func tells(text string) bool {
	for _, form := range []string{canary, hex.EncodeToString([]byte(canary)), fmt.Sprint([]byte(canary))} {
		if strings.Contains(text, strings.Trim(form, "[]")) {
			return true
		}
	}
	return false
}

// search walks through v, unexported fields included, and returns where it
// found a secret.
func search(v reflect.Value, path string, seen map[uintptr]bool, depth int) string {
	if depth > 20 || !v.IsValid() {
		return ""
	}
	switch v.Kind() {
	case reflect.String:
		if tells(v.String()) {
			return path
		}
	case reflect.Pointer:
		if v.IsNil() || seen[v.Pointer()] {
			return ""
		}
		seen[v.Pointer()] = true
		return search(v.Elem(), path, seen, depth+1)
	case reflect.Interface:
		return search(v.Elem(), path, seen, depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			if at := search(v.Field(i), path+"."+v.Type().Field(i).Name, seen, depth+1); at != "" {
				return at
			}
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			b := make([]byte, v.Len())
			for i := range b {
				b[i] = byte(v.Index(i).Uint())
			}
			if tells(string(b)) {
				return path
			}
			return ""
		}
		for i := range min(v.Len(), 1000) {
			if at := search(v.Index(i), fmt.Sprintf("%s[%d]", path, i), seen, depth+1); at != "" {
				return at
			}
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			if at := search(v.MapIndex(key), fmt.Sprintf("%s[%v]", path, key), seen, depth+1); at != "" {
				return at
			}
		}
	}
	return ""
}
