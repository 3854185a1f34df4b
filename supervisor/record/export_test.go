package record

// How far back refresh tokens are told apart.
const (
	KeptFingerprints = keptFingerprints
	FingerprintSize  = fingerprintSize
)
