package process

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// pinnedFD is where a child has its own program, if that is pinned.
const pinnedFD = locksFD + 1

// program finds what is to be run. One with a checksum that is demanded is
// hashed and executed through one descriptor, so that nobody can exchange it in
// between: the child has it as pinnedFD, and its path is the descriptor's
// (proc_pid_fd(5)). A script stands there for its interpreter, too, which is not
// pinned. The caller closes pinned, which may be nil, once the child has
// started.
func (c Command) program() (cmd *exec.Cmd, pinned *os.File, err error) {
	path, err := c.locate()
	if err != nil {
		return nil, nil, err
	}
	cmd = exec.Command(path, c.Args...)
	if c.SHA256 == "" {
		return cmd, nil, nil
	}
	if pinned, err = os.Open(path); err == nil {
		if _, err = c.verify(path, pinned); err == nil {
			cmd.Path = "/proc/self/fd/" + strconv.Itoa(pinnedFD)
			return cmd, pinned, nil
		}
		_ = pinned.Close()
	}
	return nil, nil, err
}

// verify returns the program's checksum, and a Fault if it is not the one that
// is demanded. (go-plugin's SecureConfig can't be used with a runner: it looks
// for a command that it does not know; and it hashes what its path leads to, not
// what is executed.)
func (c Command) verify(path string, program io.Reader) (sum string, err error) {
	h := sha256.New()
	if _, err := io.Copy(h, program); err != nil {
		return "", fmt.Errorf("read %s for its checksum: %w", path, err)
	}
	sum = hex.EncodeToString(h.Sum(nil))
	if c.SHA256 != "" && !strings.EqualFold(sum, c.SHA256) {
		return sum, &Fault{
			Kind:    WrongChecksum,
			Message: fmt.Sprintf("the checksum of %s is %s, and the configuration demands %s", path, sum, strings.ToLower(c.SHA256)),
			Remedy: fmt.Sprintf("if the program was replaced on purpose, put its checksum into %s and run: tokenkeeper reload; "+
				"if not, find out who replaced it, and put the right one back", c.Kind.checksumKey(c.Name)),
		}
	}
	return sum, nil
}

// interpreterOf is the program that runs a script (execve(2)); "": it is none.
func interpreterOf(program io.Reader) string {
	line, _ := bufio.NewReader(io.LimitReader(program, 256)).ReadString('\n')
	script, ok := strings.CutPrefix(line, "#!")
	if f := strings.Fields(script); ok && len(f) > 0 {
		return f[0]
	}
	return ""
}
