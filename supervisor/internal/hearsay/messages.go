package hearsay

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	provider "github.com/tokenkeeper/tokenkeeper/sdk/proto/provider/v1"
	sink "github.com/tokenkeeper/tokenkeeper/sdk/proto/sink/v1"
)

// Both contracts, that of providers and that of sinks, call the same things by
// the same names. So a message is read by the names of its fields, and a field
// that is added to a contract counts as a text.

// secretFields hold what the plugin and the supervisor tell each other in
// confidence. They are not changed.
var secretFields = []protoreflect.Name{
	"access_token", "refresh_token", "id_token", "private", "client_secret", "code", "code_verifier", "content", "given",
}

// dataFields are not for people: consumers get them as the broker gave them. An address
// and a code to log in with are judged by themselves.
var dataFields = []protoreflect.Name{"token_type", "scope", "extra", "url", "address", "user_code"}

// comparedFields are compared with what is known and not shown as they are: a
// name that happens to look like a secret must stay the name that it is.
var comparedFields = []protoreflect.Name{"account", "attempt", "fingerprint", "spool"}

// longestCompared of them, in bytes: what is cut is cut alike each time.
const longestCompared = 1024

// limits of the texts that are not a [Sentence].
var limits = map[protoreflect.Name]int{
	"name": Name, "version": Name, "pkce": Name, "kind": Name, "oauth_error": Name, "progress": Name,
	"default_value": 256, "one_of": 128, "description": 512,
}

const (
	mostTexts    = 100 // of a list
	mostSettings = 200 // that a plugin describes
)

// hear takes in the secrets of a request.
func (s *Secrets) hear(m proto.Message) {
	if m == nil {
		return
	}
	owner := ownerOf(m.ProtoReflect())
	if all := s.settingsIn(m.ProtoReflect()); len(all) > 0 {
		s.learn("the settings of "+owner, settled, setting, all...)
	}
	if m.ProtoReflect().Descriptor().Name() != "NotifyRequest" { // whose content is ours, for people
		s.hearOf(owner, m)
	}
}

// bringsSecrets says whether an answer may hold secrets that are new.
func bringsSecrets(m proto.Message) bool {
	if m == nil {
		return false
	}
	fields := m.ProtoReflect().Descriptor().Fields()
	return fields.ByName("token") != nil || fields.ByName("content") != nil || fields.ByName("private") != nil
}

// hearOf takes in the secrets of a message about an account.
func (s *Secrets) hearOf(owner string, m proto.Message) {
	visit(m.ProtoReflect(), func(in protoreflect.Message, f protoreflect.FieldDescriptor) {
		switch name := f.Name(); {
		case !slices.Contains(secretFields, name):
		case f.Kind() == protoreflect.BytesKind:
			s.learn("the documents of "+owner, settled, setting, secretsIn("content", string(in.Get(f).Bytes()))...)
		case f.IsMap():
			k := token
			if in.Descriptor().Name() == "Login" { // a request token stands in the login's address (RFC 5849, section 2.2)
				k = setting
			}
			in.Get(f).Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				s.learn(owner, newest, k, v.String())
				return true
			})
		case name == "code_verifier": // which may stand in the login's address (RFC 7636, "plain")
			s.learn(owner, newest, setting, in.Get(f).String())
		default:
			s.learn(owner, newest, token, in.Get(f).String())
		}
	})
}

// ownerOf is the account that a message is about.
func ownerOf(m protoreflect.Message) (owner string) {
	f := m.Descriptor().Fields().ByName("account")
	switch {
	case f == nil:
		return ""
	case f.Kind() == protoreflect.StringKind:
		return m.Get(f).String()
	}
	account := m.Get(f).Message()
	return account.Get(account.Descriptor().Fields().ByName("name")).String()
}

// settingsIn are the secrets among an account's or a sink's settings.
func (s *Secrets) settingsIn(m protoreflect.Message) (all []string) {
	visit(m, func(in protoreflect.Message, f protoreflect.FieldDescriptor) {
		if f.Name() != "settings" || !f.IsMap() {
			return
		}
		in.Get(f).Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
			all = append(all, secretsIn(k.String(), v.String())...)
			if s.isDeclared(k.String()) && !isServer(k.String(), v.String()) {
				all = append(all, v.String())
			}
			return true
		})
	})
	return all
}

// secretSettings are the settings that a plugin's description says are secrets,
// of those that it may describe.
func secretSettings(m proto.Message) (names []string) {
	switch d := m.(type) {
	case *provider.DescribeResponse:
		for _, s := range d.GetSettings()[:min(len(d.GetSettings()), mostSettings)] {
			if s.GetSecret() {
				names = append(names, s.GetName())
			}
		}
	case *sink.DescribeResponse:
		for _, s := range d.GetSettings()[:min(len(d.GetSettings()), mostSettings)] {
			if s.GetSecret() {
				names = append(names, s.GetName())
			}
		}
	}
	return names
}

// visit calls f with each field that is set and is no message of its own.
func visit(m protoreflect.Message, f func(protoreflect.Message, protoreflect.FieldDescriptor)) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() { // in the order in which they are declared
		field := fields.Get(i)
		switch {
		case !m.Has(field):
		case field.IsMap() || field.Kind() != protoreflect.MessageKind:
			f(m, field)
		case field.IsList():
			for n := range m.Get(field).List().Len() {
				visit(m.Get(field).List().Get(n).Message(), f)
			}
		default:
			visit(m.Get(field).Message(), f)
		}
	}
}

// cleanMessage cleans every text in a message from a plugin.
func (s *Secrets) cleanMessage(m protoreflect.Message) {
	if f := m.Descriptor().Fields().ByName("settings"); f != nil && m.Get(f).List().Len() > mostSettings {
		m.Mutable(f).List().Truncate(mostSettings)
	}
	var texts []string
	var limitOf []int
	var set []func(string)
	visit(m, func(in protoreflect.Message, f protoreflect.FieldDescriptor) {
		if f.Kind() != protoreflect.StringKind || f.IsMap() ||
			slices.Contains(secretFields, f.Name()) || slices.Contains(dataFields, f.Name()) {
			return
		}
		if slices.Contains(comparedFields, f.Name()) && !f.IsList() {
			if text := in.Get(f).String(); len(text) > longestCompared {
				in.Set(f, protoreflect.ValueOfString(strings.ToValidUTF8(text[:longestCompared], "")))
			}
			return
		}
		limit, ok := limits[f.Name()]
		if !ok {
			limit = Sentence
		}
		take := func(text string, put func(string)) {
			texts, limitOf, set = append(texts, text), append(limitOf, limit), append(set, put)
		}
		if !f.IsList() {
			take(in.Get(f).String(), func(text string) { in.Set(f, protoreflect.ValueOfString(text)) })
			return
		}
		list := in.Mutable(f).List()
		list.Truncate(min(list.Len(), mostTexts))
		for i := range list.Len() {
			take(list.Get(i).String(), func(text string) { list.Set(i, protoreflect.ValueOfString(text)) })
		}
	})
	for i, text := range s.cleanAll(texts, limitOf) {
		set[i](text)
	}
}

// kindOf is a failure's kind as far as it is one, because it names what happens
// next: programs read it.
func kindOf(kind string) string {
	if strings.IndexFunc(kind, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }) >= 0 || len(kind) > 32 {
		return ""
	}
	return kind
}
