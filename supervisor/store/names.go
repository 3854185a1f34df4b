package store

import (
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/mirror"
)

// What a store keeps, by the names under which its callers know it.
type (
	Record    = record.Record
	Basis     = record.Basis
	Health    = record.Health
	Origin    = record.Origin
	Way       = record.Way
	Before    = record.Before
	Evidence  = record.Evidence
	Candidate = record.Candidate
	Person    = record.Person
	GrantedTo = record.GrantedTo
	Intent    = record.Intent
	Login     = record.Login
	Request   = record.Request
	Delivery  = record.Delivery
	Pause     = record.Pause
)

const (
	OriginImport   = record.OriginImport
	OriginLogin    = record.OriginLogin
	OriginRefresh  = record.OriginRefresh
	OriginExternal = record.OriginExternal
	OriginRestore  = record.OriginRestore
	OriginMint     = record.OriginMint

	WayRefresh = record.WayRefresh
	WayRenew   = record.WayRenew
	WayLogin   = record.WayLogin
	WayMint    = record.WayMint

	ResultDelivered = record.ResultDelivered
	ResultFailed    = record.ResultFailed
	ResultRefused   = record.ResultRefused

	EvidenceLife = record.EvidenceLife
)

// What is said of the files and their disk.
type (
	Options = mirror.Options
	Trouble = mirror.Trouble
)

// FileName is the store's one file in the state directory.
const FileName = mirror.FileName
