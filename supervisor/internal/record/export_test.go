package record

import (
	"encoding/json"
	"slices"
)

// How far back refresh tokens are told apart.
const (
	KeptFingerprints = keptFingerprints
	FingerprintSize  = fingerprintSize
)

// ReadAny is one of the two ways in which a record is read.
var ReadAny = readAny

// ReadPlain is the other one; ok is false if it leaves it to the first.
func ReadPlain(b []byte) (r Record, ok bool) {
	ok = new(Decoder).plainRecord("", b, &r)
	return r, ok
}

// ReadPlainDelivery is the quick way in which a line of the ledger is read, and
// ReadAnyDelivery the other.
func ReadPlainDelivery(b []byte) (l Delivery, ok bool) {
	ok = new(Decoder).plainDelivery("", b, &l)
	return l, ok
}

func ReadAnyDelivery(b []byte) (l Delivery, err error) {
	err = json.Unmarshal(b, &l)
	return l, err
}

// PlainNames are the fields of what is read without encoding/json, by where in a record that
// stands ("": the record itself), but for those that few have; "ledger" is a line of that.
func PlainNames() map[string][]string {
	few := map[string]bool{"before": true, "evidence": true, "candidate": true}
	return map[string][]string{
		"": slices.DeleteFunc(slices.Clone(recordNames), func(name string) bool { return few[name] }), "token": tokenNames, "health": healthNames,
		"granted_to": grantedToNames, "granted_to/person": personNames, "ledger": deliveryNames,
	}
}
