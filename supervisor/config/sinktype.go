package config

// SinkType is a type of sinks: its own keys, and what they say. The room of the
// type implements it.
type SinkType interface {
	// Name stands under "type". Of the type of plugins it is "".
	Name() string
	// Fields are its keys beside those of every sink. Where another type has a key
	// of the same name, both hold the same.
	Fields() Fields
	// Read reads them.
	Read(o Object) Destination
}

// SinkTypes are those that there are.
type SinkTypes struct {
	BuiltIn []SinkType
	// Plugin is for every other name.
	Plugin SinkType
}

// Destination is what a sink's own keys say.
type Destination interface {
	// To says for people where it leads, without a secret: a path, an address.
	To() string
	// Traits are what can be sent there, and how.
	Traits() Traits
	// Check reports what does not fit together. What is wrong with a value by itself
	// may have been reported when it was read.
	Check(o Object, in Surroundings)
}

// Traits are what can be sent to a destination, and how. Texts that say why
// something is not possible are "" where it is.
type Traits struct {
	// Events are sent there if the configuration does not say which; nil: tokens.
	Events []string
	// NoToken is why a token never is.
	NoToken string
	// TokensOnly is why nothing else is, and what of its own keys would change that.
	TokensOnly Fault

	// Content: the configuration says how a token is written there, in the keys that
	// [WithContent] adds.
	Content bool
	// Format is the one that is written if the configuration names none; "": what the
	// type sends by itself.
	Format string
	// Unformatted is what is sent then, if Format is "".
	Unformatted string
	// JSONOnly is why a format must be JSON, and what else can be done.
	JSONOnly Fault

	// InFiles: other programs read what is there, and may write it too, so that it is
	// read back.
	InFiles bool
}

// Surroundings are what a destination's check sees of the rest of the
// configuration.
type Surroundings struct {
	// Sink has what stands in the keys of every sink.
	Sink Sink
	// Accounts that go there.
	Accounts []Account

	folders *folders
	taken   map[string]string
}

// Answers says whether the file system of a path does. That it does not is told where
// the path was read.
func (s Surroundings) Answers(path string) bool { return s.folders.mounts.Ask(path) == nil }

// Claim takes path for what is called as, unless something else has it: then it
// returns what that is called, and whether it is the shared file of an account.
func (s Surroundings) Claim(path, as string) (by string, shared bool) {
	path = s.folders.canonical(path)
	if by, taken := s.taken[path]; taken {
		return by, isSharedFile(by)
	}
	s.taken[path] = as
	return "", false
}
