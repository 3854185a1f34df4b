package machine

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
)

// Read asks the machine that this is.
func Read() Facts { return readAt("/", os.Getenv) }

// readAt reads below root.
func readAt(root string, getenv func(string) string) Facts {
	var f Facts
	if id := firstLine(filepath.Join(root, "etc/machine-id")); isID(id) { // it may say "uninitialized"
		f.ID = id
	}
	f.Product = strings.ToLower(firstLine(filepath.Join(root, "sys/class/dmi/id/product_uuid")))
	f.Host, _ = os.Hostname()
	for _, mark := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(filepath.Join(root, mark)); err == nil {
			f.Contained = mark
		}
	}
	for _, variable := range []string{"KUBERNETES_SERVICE_HOST", "container"} {
		if getenv(variable) != "" {
			f.Contained = "$" + variable
		}
	}
	return f
}

func firstLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "" // what can't be read is not known
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(line)
}

// isID says whether text has the form of a machine id.
func isID(text string) bool {
	b, err := hex.DecodeString(text)
	return err == nil && len(b) == 16
}
