//go:build !crashpoints

package crashpoint

// Here does nothing.
func Here(string) {}

// Environment returns nothing.
func Environment() []string { return nil }
