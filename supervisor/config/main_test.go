package config_test

import (
	"os"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/types"
)

func TestMain(m *testing.M) {
	config.TestSinks = types.Config()
	os.Exit(m.Run())
}
