package moment

import "time"

// Zone is the time zone of that name; of "" the machine's.
func Zone(name string) (*time.Location, error) {
	if name == "" {
		return time.Local, nil
	}
	return time.LoadLocation(name)
}
