package sdk

import (
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/tokenkeeper/tokenkeeper/sdk/proto/provider/v1"
)

// What version 2 of the contract adds to wire.go.

func toDeadline(m *pb.Deadline) Deadline {
	return Deadline{
		Lifetime: m.GetLifetime().AsDuration(),
		Idle:     m.GetIdle().AsDuration(),
		Clock:    TimeOfDay{Hour: int(m.GetHour()), Minute: int(m.GetMinute()), Zone: m.GetZone()},
		Sliding:  m.GetSliding(),
		Certain:  m.GetCertain(),
	}
}

func fromDeadline(d Deadline) *pb.Deadline {
	return &pb.Deadline{
		Lifetime: durationpb.New(d.Lifetime),
		Idle:     durationpb.New(d.Idle),
		Hour:     int64(d.Clock.Hour), Minute: int64(d.Clock.Minute), Zone: d.Clock.Zone,
		Sliding: d.Sliding,
		Certain: d.Certain,
	}
}

func toLimits(m *pb.Limits) Limits {
	return Limits{
		RequestsPerHour:     int(m.GetRequestsPerHour()),
		FailedLoginsPerHour: int(m.GetFailedLoginsPerHour()),
		LockedOutFor:        m.GetLockedOutFor().AsDuration(),
	}
}

func fromLimits(l Limits) *pb.Limits {
	return &pb.Limits{
		RequestsPerHour:     int64(l.RequestsPerHour),
		FailedLoginsPerHour: int64(l.FailedLoginsPerHour),
		LockedOutFor:        durationpb.New(l.LockedOutFor),
	}
}

// kindsTo reads into d what version 2 says of a provider.
func kindsTo(d *Description, m *pb.DescribeResponse) {
	for _, shape := range m.GetLogins() {
		d.Logins = append(d.Logins, LoginShape(shape))
	}
	d.Repeat = Repeat(m.GetRepeat())
	d.KeepaliveEvery = m.GetKeepaliveEvery().AsDuration()
	d.Limits = toLimits(m.GetLimits())
	d.Renewer, d.Minter, d.Keepalive = m.GetRenewer(), m.GetMinter(), m.GetKeepalive()
	d.LoginGuide, d.NoRefresh = m.GetLoginGuide(), m.GetNoRefresh()
	p := m.GetPolicy()
	d.Policy.OldAccessDies, d.Policy.OldAccessLives = p.GetOldAccessDies(), p.GetOldAccessLives()
	d.Policy.ClientFirst = p.GetClientFirst()
	d.Policy.Access, d.Policy.Refresh, d.Policy.Grant = toDeadline(p.GetAccess()), toDeadline(p.GetRefresh()), toDeadline(p.GetGrant())
}

// kindsFrom is kindsTo backwards.
func kindsFrom(d Description, m *pb.DescribeResponse) {
	for _, shape := range d.Logins {
		m.Logins = append(m.Logins, string(shape))
	}
	m.Repeat = string(d.Repeat)
	m.KeepaliveEvery = durationpb.New(d.KeepaliveEvery)
	m.Limits = fromLimits(d.Limits)
	m.Renewer, m.Minter, m.Keepalive = d.Renewer, d.Minter, d.Keepalive
	m.LoginGuide, m.NoRefresh = d.LoginGuide, d.NoRefresh
	m.Policy.OldAccessDies, m.Policy.OldAccessLives = d.Policy.OldAccessDies, d.Policy.OldAccessLives
	m.Policy.ClientFirst = d.Policy.ClientFirst
	m.Policy.Access, m.Policy.Refresh, m.Policy.Grant = fromDeadline(d.Policy.Access), fromDeadline(d.Policy.Refresh), fromDeadline(d.Policy.Grant)
}

func toLogin(m *pb.Login) Login {
	return Login{
		Shape:        LoginShape(m.GetShape()),
		Address:      m.GetAddress(),
		Instructions: m.GetInstructions(),
		UserCode:     m.GetUserCode(),
		Expires:      toTime(m.GetExpires()),
		PollEvery:    m.GetPollEvery().AsDuration(),
		Private:      toSecrets(m.GetPrivate()),
	}
}

func fromLogin(l Login) *pb.Login {
	return &pb.Login{
		Shape:        string(l.Shape),
		Address:      l.Address,
		Instructions: l.Instructions,
		UserCode:     l.UserCode,
		Expires:      fromTime(l.Expires),
		PollEvery:    durationpb.New(l.PollEvery),
		Private:      fromSecrets(l.Private),
	}
}
