package record

// How far back refresh tokens are told apart.
const (
	KeptFingerprints = keptFingerprints
	FingerprintSize  = fingerprintSize
)

// The two ways in which a record is read.
var (
	ReadPlain = readPlain
	ReadAny   = readAny
)
