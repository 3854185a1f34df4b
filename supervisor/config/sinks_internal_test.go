package config

// TestSinks are the types that tests of this package configure. It can't import
// them, as they import it: TestMain sets them.
var TestSinks SinkTypes
