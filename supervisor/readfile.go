package supervisor

import (
	"context"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/file"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/readback"
)

// ReadSinkFile returns what the file of a file sink holds of an account now, and
// its path.
func ReadSinkFile(ctx context.Context, c config.Sink, a config.Account) (path string, d format.Document, err error) {
	f, err := file.New(file.Config{
		Path: c.File.Path, Owner: c.File.Owner, TrustFolder: c.File.TrustFolder, Decode: decoder(c.Content),
		Encode: func(format.Document) ([]byte, error) { return nil, nil },
	})
	if err != nil {
		return "", d, err
	}
	held, err := f.Holds(ctx, readback.Question{Account: a.Name, Provider: a.Provider})
	held.Document.WrittenAt = held.At
	return held.File, held.Document, err
}
