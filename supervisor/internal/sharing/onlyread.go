package sharing

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// OnlyRead is a file of which nothing is locked, replaced or kept, for who only observes.
// What [Share.Look] would put right stays as it is: it writes with the lock alone.
type OnlyRead struct{ File }

var errOnlyRead = errors.New("the shared file is only read: this supervisor only observes")

func (OnlyRead) Lock(context.Context) (func() error, error) { return nil, errOnlyRead }
func (OnlyRead) Held() error                                { return nil }
func (OnlyRead) Lend(func(fd int) error) error              { return errOnlyRead }
func (OnlyRead) Keep(time.Duration)                         {}
func (OnlyRead) Inherit(*os.File, time.Duration) bool       { return false }
func (OnlyRead) Forgo()                                     {}
func (OnlyRead) Prove() error                               { return errOnlyRead }
func (OnlyRead) Replaceable() error                         { return nil }
func (OnlyRead) Write(format.Document) error                { return errOnlyRead }
func (OnlyRead) KeepRest() (string, error)                  { return "", errOnlyRead }
func (OnlyRead) Mend(format.Document) (string, error)       { return "", errOnlyRead }
func (OnlyRead) Supersede(format.Document) (string, error)  { return "", errOnlyRead }
func (OnlyRead) TakeOut(sdk.Secret) (bool, error)           { return false, errOnlyRead }
