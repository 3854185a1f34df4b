package main

import (
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/plugins/schwab"
	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// BenchmarkSpooled measures from the last byte of the broker's answer until the
// provider's spool has it on disk: from then on nothing that dies can lose it.
// It is the built-in provider within this process, because nobody outside can
// see that moment.
func BenchmarkSpooled(b *testing.B) {
	broker := newBenchBroker(b, brokersim.Schwab)
	dir := b.TempDir()
	sp, err := spool.Open(b.Context(), dir, 1)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = sp.Close() }()
	disk := newBareDisk(b, dir)
	provider := schwab.New()
	provider.HTTP.RootCAs = x509.NewCertPool()
	provider.HTTP.RootCAs.AddCert(broker.server.Certificate())
	c := broker.sim.Config()
	req := sdk.RefreshRequest{
		Account: sdk.Account{
			Name: broker.account, ClientID: c.ClientID, ClientSecret: sdk.NewSecret(c.ClientSecret),
			Settings: map[string]string{"token_url": broker.server.URL + tokenPath(broker.sim)},
		},
		Token: sdk.Token{RefreshToken: sdk.NewSecret(broker.sim.Grant(broker.account).RefreshToken)},
	}
	var spooled, bare samples
	for b.Loop() {
		attempt := fmt.Sprintf("attempt-%d", len(spooled))
		slot, _, err := sp.Begin(spool.Header{Attempt: attempt, Account: broker.account, Kind: spool.KindRefresh})
		if err != nil {
			b.Fatal(err)
		}
		_, err = provider.Refresh(spool.NewContext(b.Context(), slot), req)
		at := time.Now()
		if err != nil || slot.Progress() != spool.Answered || slot.Fault() != nil {
			b.Fatalf("%s: %v, %v", slot.Progress(), err, slot.Fault())
		}
		spooled = append(spooled, at.Sub(<-broker.answered))
		bare = append(bare, disk.three(b))
		if err := sp.Settle(attempt, false); err != nil {
			b.Fatal(err)
		}
	}
	spooled.report(b, "spooled")
	spooled.against(b, bare, "spooled")
}
