package config

// Holding is what a key holds.
type Holding int

const (
	// Nested has the keys of Fields.
	Nested Holding = iota
	// named maps a name that the user chooses to objects.
	named
	// Table maps keys that the user chooses to one kind of value.
	Table
	// Word is a choice or a name; references are not resolved in it, so that
	// messages may quote it.
	Word
	// Text may hold references, and messages never quote it.
	Text
	// Secret is text that should not stand in clear in a file.
	Secret
	// Path is a file name; it may hold references, and messages quote it as
	// it was written.
	Path
	Duration
	Number
	Boolean
	// Words is a list of Word.
	Words
	// Secrets is a list of Secret.
	Secrets
	// SecretOrList is a Secret, or a list of them where it is not known which is right.
	SecretOrList
	// Mode is a file's permission bits in octal.
	Mode
	// rows is a list of objects, which the file alone can hold. They are kept
	// by their number.
	rows
)

// Field describes one key.
type Field struct {
	Holds  Holding
	Fields Fields // of what is nested
	Each   *Field // of named, Table and rows
	// Default is in the type that parse returns, which is the Go type that
	// [Object] reads: time.Duration, int, bool, string. nil: none, or one that
	// depends on other keys.
	Default any
	// Spell makes a name in a Table of what stands of it in the name of an
	// environment variable, in small letters and without dashes; nil: it is one.
	Spell func(variable string) string
}

// Fields are the keys of an object.
type Fields map[string]Field

// isSecret says whether its value under a key is, or sounds as if it were, a secret.
func (f Field) isSecret(key string) bool {
	return f.Holds == Secret || f.Holds == Secrets || f.Holds == SecretOrList || SoundsSecret(key)
}
