//go:build race

package main

import "testing"

// raceDetector: the tests, and the programs that they build, report data races.
const raceDetector = true

// alsoRaced are the end-to-end tests of a short run under the race detector:
// together they go through every room of the program. All of them at once take
// many times as long as without it.
var alsoRaced = map[string]bool{
	"TestEverySinkAtOnce":                true,
	"TestKilledSinkPluginDisturbsNobody": true,
	"TestManyWriters":                    true,
	"TestRestartTwentyTimes":             true,
	"TestStopWaitsForOpenRequest":        true,
	"TestTokenComesBackFromSink":         true,
	"TestANewerTokenInASinkIsTakenFirst": true,
}

// skipUnlessRaced skips what a short run under the race detector leaves out.
func skipUnlessRaced(t *testing.T) {
	t.Helper()
	if testing.Short() && !alsoRaced[t.Name()] {
		t.Skip("in short, few of the tests that run other programs do so under the race detector")
	}
}
