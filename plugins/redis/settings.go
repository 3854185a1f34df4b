package redis

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)

// Names of the settings.
const (
	settingAddress  = "address"
	settingUsername = "username"
	settingPassword = "password"
	settingDB       = "db"
	settingTLS      = "tls"
	settingCAFile   = "ca_file"
	settingKey      = "key"
	settingChannel  = "channel"
	settingTTL      = "ttl"
	settingUsers    = "allow_uids"

	defaultAddress = "127.0.0.1:6379"
	defaultKey     = "tokenkeeper:{account}"
	// none turns a setting off that has a default.
	none = "none"
	// ofToken is the default of ttl.
	ofToken = "token"
)

func describeSettings() []sdk.Setting {
	return []sdk.Setting{
		{Name: settingAddress, Default: defaultAddress, SocketUsers: settingUsers, Description: "host:port of the server, or the path of its Unix socket."},
		{Name: settingUsers, Description: "Users, by name or number and with commas between, who may serve the Unix socket beside root, the user that runs Tokenkeeper and the owner of a folder that nobody else can write to."},
		{Name: settingUsername, Description: "User of the server's ACL. Not set: default."},
		{Name: settingPassword, Secret: true, Description: "The user's password."},
		{Name: settingDB, Default: "0", Description: "Number of the database."},
		{Name: settingTLS, Default: "false", OneOf: []string{"true", "false"}, Description: "Connect with TLS."},
		{Name: settingCAFile, Steers: true, Description: "PEM file of the authorities that sign the server's certificate. Not set: the system's."},
		{Name: settingKey, Default: defaultKey, Description: "Key of the token; {account} and {provider} are filled in. Its version stands beside it, under the same with :version."},
		{Name: settingChannel, Description: "Channel that each token is published on; {account} and {provider} are filled in. Not set: named like the key. none: nothing is published."},
		{Name: settingTTL, Default: ofToken, Description: "How long the key stays: token (until a minute after the access token's end), none (for ever), or a duration from the delivery on."},
	}
}

// settings of one sink, for one account.
type settings struct {
	network, address   string
	username, password string
	db                 int
	tls                *tls.Config
	key, channel       string
	ttl                ttl
	// users may serve a Unix socket; dial connects to one.
	users string
	dial  Dial
}

// ttl: for ever, fixed, or (both zero) the token's own.
type ttl struct {
	none  bool
	fixed time.Duration
}

// String names the destination for people.
func (s settings) String() string { return fmt.Sprintf("key %s of redis %s", s.key, s.address) }

// markKey is where the version is kept.
func (s settings) markKey() string { return s.key + ":version" }

// permissions says how to grant what a delivery needs.
func (s settings) permissions() string {
	channel := ""
	if s.channel != "" {
		channel = " +publish &" + s.channel
	}
	return fmt.Sprintf("grant it with ACL SETUSER: +eval +get +set ~%s ~%s%s", s.key, s.markKey(), channel)
}

// readSettings checks the settings for one account. Its errors quote no value
// but paths.
func readSettings(from sdk.Settings, account, provider string) (settings, error) {
	fill := strings.NewReplacer("{account}", account, "{provider}", provider)
	s := settings{
		network: "tcp", address: otherwise(from.Get(settingAddress), defaultAddress),
		username: from.Get(settingUsername), password: from.Get(settingPassword),
		key:   fill.Replace(otherwise(from.Get(settingKey), defaultKey)),
		users: from.Get(settingUsers),
	}
	s.channel = fill.Replace(otherwise(from.Get(settingChannel), s.key))
	if s.channel == none {
		s.channel = ""
	}
	if s.username != "" && s.password == "" {
		return s, fmt.Errorf("setting %s needs a %s", settingUsername, settingPassword)
	}
	if strings.HasPrefix(s.address, "/") {
		s.network = "unix"
	} else if s.users != "" {
		return s, fmt.Errorf("setting %s is for an %s that is the path of a socket", settingUsers, settingAddress)
	} else if _, _, err := net.SplitHostPort(s.address); err != nil {
		return s, fmt.Errorf("setting %s must be host:port or the path of a socket", settingAddress)
	}
	if text := from.Get(settingDB); text != "" {
		db, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return s, fmt.Errorf("setting %s must be the number of a database", settingDB)
		}
		s.db = int(db)
	}
	var err error
	if s.ttl, err = readTTL(from.Get(settingTTL)); err != nil {
		return s, err
	}
	s.tls, err = readTLS(from, s)
	return s, err
}

func readTTL(text string) (ttl, error) {
	switch text {
	case "", ofToken:
		return ttl{}, nil
	case none:
		return ttl{none: true}, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < shortest {
		return ttl{}, fmt.Errorf("setting %s must be %s, %s or a duration of %s and more", settingTTL, ofToken, none, shortest)
	}
	return ttl{fixed: d}, nil
}

func readTLS(from sdk.Settings, s settings) (*tls.Config, error) {
	ca := from.Get(settingCAFile)
	switch from.Get(settingTLS) {
	case "", "false":
		if ca != "" {
			return nil, fmt.Errorf("setting %s is for %s: true", settingCAFile, settingTLS)
		}
		return nil, nil
	case "true":
	default:
		return nil, fmt.Errorf("setting %s must be true or false", settingTLS)
	}
	if s.network == "unix" {
		return nil, fmt.Errorf("setting %s is not for a Unix socket", settingTLS)
	}
	host, _, _ := net.SplitHostPort(s.address)
	config := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if ca == "" {
		return config, nil
	}
	pem, _, err := files.ReadWhole(ca, 1<<20)
	if err != nil {
		return nil, fmt.Errorf("setting %s: %w", settingCAFile, err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, errors.New("setting " + settingCAFile + ": there is no certificate in " + ca)
	}
	return config, nil
}

func otherwise(value, other string) string {
	if value == "" {
		return other
	}
	return value
}
