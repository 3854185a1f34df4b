package sink

import (
	"fmt"
	"slices"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// OneLine is the indentation of JSON that stands in one line; 0 is what the
// format's own programs write.
const OneLine = -1

func options(c config.Content, indent int) (format.Options, error) {
	zone, err := moment.Zone(c.Timezone)
	if err != nil {
		return format.Options{}, fmt.Errorf("timezone: %w", err)
	}
	return format.Options{Location: zone, Indent: indent}, nil
}

// Encoder writes a document as c says.
func Encoder(c config.Content, indent int) (func(format.Document) ([]byte, error), error) {
	o, err := options(c, indent)
	if err != nil {
		return nil, err
	}
	if c.Format == format.TemplateName {
		t, err := format.ParseTemplate(c.Template)
		if err != nil {
			return nil, err
		}
		return func(d format.Document) ([]byte, error) { return t.Encode(d, o) }, nil
	}
	return func(d format.Document) ([]byte, error) { return format.Encode(c.Format, d, o) }, nil
}

// Keeper writes a document over what is there, of which what others have put there
// is kept; nil for a format of which nothing can be.
func Keeper(c config.Content) (func(existing []byte, d format.Document) ([]byte, error), error) {
	if !format.Keeps(c.Format) {
		return nil, nil
	}
	o, err := options(c, 0)
	return func(existing []byte, d format.Document) ([]byte, error) { return format.Keep(c.Format, existing, d, o) }, err
}

// Decoder is [Decode] for a place of the destination's own: of a format that is
// written and never read it need not be able to.
func Decoder(c config.Content) func([]byte) (format.Document, error) {
	readable := c.Format == "" || slices.Contains(format.Names(), c.Format)
	return func(body []byte) (format.Document, error) {
		d, err := Decode(c, body)
		if err != nil && !readable {
			return format.Document{}, nil
		}
		return d, err
	}
}

// Decode reads what a destination gave back: in the format that it is given now,
// or, because that may have been another one, in any that can be read. Its errors
// do not repeat what stands there.
func Decode(c config.Content, body []byte) (format.Document, error) {
	o, err := options(c, 0)
	if err != nil {
		return format.Document{}, err
	}
	if slices.Contains(format.Names(), c.Format) {
		if d, err := format.Decode(c.Format, body, o); err == nil {
			return d, nil
		}
	}
	name, err := format.Detect(body)
	if err != nil {
		return format.Document{}, fmt.Errorf("what the sink gave back is in no format that can be read (%v can): %w", format.ReadNames(), err)
	}
	return format.Decode(name, body, o)
}
