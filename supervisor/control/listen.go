package control

import (
	"net"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/localsocket"
)

// Listen opens the control socket with mode 0600. A missing directory is made
// with mode 0700. A socket that a dead supervisor left behind is replaced; one
// on which somebody answers, and anything that is no socket, is an error.
// Unless the folder is trusted, it is an error if others may write to it, who could put
// a socket of their own in its place. If there are readers, they can connect to it: it has
// mode 0666 then, and the directory, if it is made, 0711; who connects may do no more than
// the kernel's word on him allows.
func Listen(path string, c config.Control) (net.Listener, error) {
	return listenWith(path, optionsOf(c))
}

// ListenBeside returns what opens the control socket of one who only observes, beside a
// service that may be another user's: what root opens in that one's folder is his, who
// finds it there when the observer was killed.
func ListenBeside(c config.Control) func(socket string) (net.Listener, error) {
	o := optionsOf(c)
	o.OfFolder = true
	return func(socket string) (net.Listener, error) { return listenWith(socket, o) }
}

func optionsOf(c config.Control) localsocket.Options {
	o := localsocket.Options{
		Name: "the control socket", Key: "control.socket", Mode: 0o600, MakeDir: 0o700, TrustFolder: c.TrustFolder,
		InUse: `: is a supervisor running already? "tokenkeeper status" asks it`,
	}
	if len(c.Readers) > 0 {
		o.Mode, o.MakeDir = 0o666, 0o711
	}
	return o
}

func listenWith(path string, o localsocket.Options) (net.Listener, error) {
	ln, err := localsocket.Listen(path, o)
	if err != nil {
		return nil, err
	}
	return ln, nil
}
