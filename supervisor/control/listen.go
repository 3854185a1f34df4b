package control

import (
	"net"

	"github.com/tokenkeeper/tokenkeeper/supervisor/localsocket"
)

// Listen opens the control socket with mode 0600. A missing directory is made
// with mode 0700. A socket that a dead supervisor left behind is replaced; one
// on which somebody answers, and anything that is no socket, is an error.
// With trustFolder others may write to the directory, who could put a socket of
// their own in its place; without, that is an error.
func Listen(path string, trustFolder bool) (net.Listener, error) {
	ln, err := localsocket.Listen(path, localsocket.Options{
		Name: "the control socket", Key: "control.socket", Mode: 0o600, MakeDir: true, TrustFolder: trustFolder,
		InUse: `: is a supervisor running already? "tokenkeeper status" asks it`,
	})
	if err != nil {
		return nil, err
	}
	return ln, nil
}
