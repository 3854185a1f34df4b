package supervisor

import (
	"context"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/readback"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/types"
)

// ReadSinkFile returns what the file of a sink holds of an account now, and its
// path; ok is false if the sink delivers into no file, or it can't be read.
func ReadSinkFile(ctx context.Context, c config.Sink, a config.Account) (path string, d format.Document, ok bool) {
	t, builtIn := types.Of(c.Type)
	if !builtIn || !c.Traits().InFiles {
		return "", d, false
	}
	there, _, err := t.New(c, sink.With{})
	holder, can := there.(sink.Holder)
	if err != nil || !can {
		return "", d, false
	}
	held, err := holder.Holds(ctx, readback.Question{Account: a.Name, Provider: a.Provider})
	held.Document.WrittenAt = held.At
	return held.File, held.Document, err == nil
}
