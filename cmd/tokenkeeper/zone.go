package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	_ "time/tzdata" // a machine need not have the package of that name

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// checkZone refuses a TZ that Go would take for UTC without a word, because it
// finds no data of such a zone: local times in files would be read wrong.
func checkZone(tz string) error {
	name := strings.TrimPrefix(tz, ":")
	var err error
	switch {
	case name == "" || name == "UTC":
		return nil
	case filepath.IsAbs(name):
		var data []byte
		if data, err = os.ReadFile(name); err == nil {
			_, err = time.LoadLocationFromTZData(name, data)
		}
	default:
		_, err = moment.Zone(name)
	}
	if err != nil {
		return usageErrorf("the environment sets TZ to %q, of which no time zone data is found, so that local times would be taken for UTC: "+
			"set it to a name like Europe/Copenhagen, or unset it", tz)
	}
	return nil
}

// zoneOf says for people which time zone naive local times are read in.
func zoneOf(timezone string) string {
	if timezone == "" {
		return fmt.Sprintf("this machine's zone, %s", time.Local)
	}
	return timezone
}
