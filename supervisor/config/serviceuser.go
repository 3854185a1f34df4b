package config

import (
	"os"
	"syscall"
)

// ofService says whether a file belongs to the user who runs the service: only then can
// it be closed to all others and be read by the next start. The state directory is that
// user's; before there is one he is taken to be whoever runs this, but for root, who
// installs services for others.
func (r *references) ofService(path string) bool {
	if !r.answers(path) || !r.answers(r.stateDir) {
		return false
	}
	owner, known := ownerOf(path)
	service, there := ownerOf(r.stateDir)
	if !there {
		service, there = os.Geteuid(), os.Geteuid() != 0
	}
	return known && there && owner == service
}

func ownerOf(path string) (uid int, known bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, false
	}
	st, known := info.Sys().(*syscall.Stat_t)
	if !known {
		return 0, false
	}
	return int(st.Uid), true
}

// credential is how a service of systemd gets a secret that is in a file of root.
const credential = "${file:${env:" + credentials + "}/NAME} with the line LoadCredential=NAME:PATH in the unit of systemd"
