package config_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

func TestMaintenance(t *testing.T) {
	const head = "accounts: {a: {provider: saxo, client_id: x, client_secret: y}}\nproviders:\n  saxo:\n    maintenance: "
	read := func(windows string) ([]config.Maintenance, string) {
		src := source(t, head+windows+"\n")
		src.KnownProviders = builtIn
		cfg, _, err := config.Load(src)
		if err != nil {
			return nil, err.Error()
		}
		return cfg.Providers["saxo"].Maintenance, ""
	}
	got, problems := read(`[{days: [sat, sun], from: "02:00", to: 06:30, zone: Europe/Copenhagen}, {from: "23:00", to: "01:00"}]`)
	if problems != "" || len(got) != 2 || got[0].From != 2*time.Hour || got[0].To != 6*time.Hour+30*time.Minute || got[0].Zone.String() != "Europe/Copenhagen" ||
		!slices.Equal(got[0].Days, []time.Weekday{time.Saturday, time.Sunday}) || got[1].Zone != time.Local || len(got[1].Days) != 0 {
		t.Errorf("%+v; %s", got, problems)
	}
	for windows, want := range map[string]string{
		`[{from: "2", to: "06:00"}]`:                         `"2" is no time of the day`,
		`[{from: "02:00"}]`:                                  `"" is no time of the day`,
		`[{from: "02:00", to: "03:00", days: [saturday]}]`:   `"saturday" is no day of the week`,
		`[{from: "02:00", to: "03:00", zone: Mars/Olympus}]`: `unknown time zone "Mars/Olympus"`,
		`[{from: "02:00", to: "03:00", untill: x}]`:          `unknown key`,
		`{from: "02:00", to: "03:00"}`:                       `this must be a list of mappings`,
	} {
		if _, problems := read(windows); !strings.Contains(problems, want) {
			t.Errorf("%s: %q, want %q", windows, problems, want)
		}
	}
}
