package oauth

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"time"
)

// Shape is what an answer in the spool looks like, without a value of it, for a
// person who is to mend it.
type Shape struct {
	Status          int       `json:"status"`
	ContentType     string    `json:"content_type,omitempty"`
	ContentEncoding string    `json:"content_encoding,omitempty"`
	Received        time.Time `json:"received"`
	// Bytes of the body as it came, and of the text that was made of it.
	Bytes int `json:"bytes"`
	Text  int `json:"text_bytes"`
	// Fault is why nothing was found in it.
	Fault string `json:"fault,omitempty"`
	// Members of the object that it is, by name, each with its kind and length.
	Members []Member `json:"members,omitempty"`
	// RefreshToken: one can be read in it.
	RefreshToken bool `json:"refresh_token"`
}

// Member is one member of an object.
type Member struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
}

// ShapeOf describes an answer as [Endpoint] recorded it. Another provider's is
// an error.
func ShapeOf(answer []byte) (Shape, error) {
	a, err := decodeAnswer(answer)
	if err != nil {
		return Shape{}, fmt.Errorf("the answer is not one of package oauth: %w", err)
	}
	c := a.content()
	f, _, doubt := c.fields(a.mediaType())
	s := Shape{
		Status: a.Status, ContentType: plainName(a.mediaType()), ContentEncoding: plainName(a.ContentEncoding),
		Received: a.Received, Bytes: len(a.body), Text: len(c.text), RefreshToken: doubt == "" && f.text("refresh_token") != "",
		Fault: doubt,
	}
	if !f.tokens() {
		s.Fault = c.unread()
	}
	for _, name := range slices.Sorted(maps.Keys(f)) {
		s.Members = append(s.Members, Member{memberName(name), kindOf(f[name])})
	}
	return s, nil
}

// BodyOf is the body of a recorded answer, which holds secrets, as far as it is
// text also without its content codings.
func BodyOf(answer []byte) ([]byte, error) {
	a, err := decodeAnswer(answer)
	if err != nil {
		return nil, fmt.Errorf("the answer is not one of package oauth: %w", err)
	}
	if c := a.content(); c.fault == "" {
		return c.text, nil
	}
	return a.body, nil
}

var plain = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_./+;= -]{1,60}$`) })

var member = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z_][A-Za-z_.-]{0,31}$`) })

// memberName is a member's name, which in an answer of another kind than it
// claims may be a token.
func memberName(name string) string {
	if member().MatchString(name) {
		return name
	}
	return fmt.Sprintf("(%d bytes)", len(name))
}

// plainName is a name that can be shown; what is none may be a secret.
func plainName(name string) string {
	if name == "" || plain().MatchString(name) {
		return name
	}
	return fmt.Sprintf("(%d bytes)", len(name))
}

func kindOf(raw json.RawMessage) string {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return fmt.Sprintf("text of %d bytes", len(raw))
	}
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("text of %d bytes", len(v))
	case float64:
		return "number"
	case bool:
		return "true or false"
	case nil:
		return "null"
	case []any:
		return fmt.Sprintf("list of %d", len(v))
	default:
		return "object"
	}
}

// String is the shape in a line.
func (s Shape) String() string {
	text := fmt.Sprintf("HTTP %d %s, %d bytes", s.Status, http.StatusText(s.Status), s.Bytes)
	if s.ContentType != "" {
		text += " of " + s.ContentType
	}
	if s.ContentEncoding != "" {
		text += " (" + s.ContentEncoding + ")"
	}
	if s.Fault != "" {
		text += ": " + s.Fault
	}
	return text
}
