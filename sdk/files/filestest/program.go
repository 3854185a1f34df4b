package filestest

import (
	"io/fs"
	"os"
	"syscall"
)

// WriteProgram is [os.WriteFile] for what is executed next. Nobody forks meanwhile: a child
// of another test would have the file open for writing until it executes something itself,
// and until then the kernel executes nobody's file that is (ETXTBSY, execve(2)).
func WriteProgram(path string, content []byte, mode fs.FileMode) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, content, mode)
}
