package promise

// Reason is why an account that is past its due moment is not in flight. The
// list is closed: an account that has none of them is a defect.
type Reason string

const (
	// None: nobody knows why. It is the defect.
	None Reason = ""

	NeedsLogin Reason = "needs_login" // only a person's login can help
	Withheld   Reason = "withheld"    // the store is another machine's, or the token was granted to another client
	Asked      Reason = "asked"       // a person has to say what an unknown token in the shared file is
	Doubt      Reason = "doubt"       // a destination may hold a newer refresh token
	Lingering  Reason = "lingering"   // an attempt may be under way elsewhere
	Replay     Reason = "replay"      // an attempt's outcome is unknown; the same token is sent again at its time
	Unread     Reason = "unread"      // an answer that nobody could read may hold the new token
	Client     Reason = "client"      // its client was refused, and may have used up the token; a person has to say that it is sent again
	Unsettled  Reason = "unsettled"   // the process died in the attempt; the next one asks the spool
	Paused     Reason = "paused"      // a person has paused it
	LoginOpen  Reason = "login_open"  // a person has begun a login, and the token lives for longer
	PutOff     Reason = "put_off"     // a better token is asked for elsewhere
	BackOff    Reason = "back_off"    // the pause after a failure
	RetryAfter Reason = "retry_after" // the server has asked for a pause, or limits the rate
	Limit      Reason = "limit"       // the broker allows only so many requests, or failed logins, an hour
	LockHeld   Reason = "lock_held"   // another program holds the shared file's lock
	DiskAway   Reason = "disk_away"   // the store, the shared file or one that its settings name can't be read or written
	Untrusted  Reason = "untrusted"   // others can change a file that steers the provider
	Down       Reason = "down"        // the provider's process is down, parked or paused
	Starting   Reason = "starting"    // its process settles what was left open, or waits for its predecessor's spool
	QueueFull  Reason = "queue_full"  // max_in_flight attempts are in flight
	NextTurn   Reason = "next_turn"   // the loop is about to take it
)

// Text says it to people.
func (r Reason) Text() string {
	switch r {
	case NeedsLogin:
		return "it needs a login"
	case Withheld:
		return "its refresh token is not to be used here"
	case Asked:
		return "a person has to decide about its shared file"
	case Doubt:
		return "a destination may hold a newer refresh token"
	case Lingering:
		return "an attempt may be under way elsewhere"
	case Replay:
		return "nobody knows what became of an attempt, and it is not time to send the token again"
	case Unread:
		return "an answer that nobody could read may hold its new token"
	case Client:
		return "the broker refused its client secret, and may have used up its token"
	case Unsettled:
		return "the process died in its attempt, and the next one asks the spool"
	case Paused:
		return "a person has paused it"
	case LoginOpen:
		return "a login is open"
	case PutOff:
		return "a better token is asked for elsewhere"
	case BackOff:
		return "the pause after a failure"
	case RetryAfter:
		return "the server asked for a pause"
	case Limit:
		return "its broker's limit of requests is reached"
	case LockHeld:
		return "the lock of its shared file is held"
	case DiskAway:
		return "what holds its token, or a file that its settings name, can't be read or written"
	case Untrusted:
		return "others can change a file that steers its provider"
	case Down:
		return "the provider's process does not run"
	case Starting:
		return "the provider's process settles what was left open"
	case QueueFull:
		return "as many attempts as are allowed are in flight"
	case NextTurn:
		return "it is next"
	}
	return "nobody knows why"
}

// TakesPerson says whether that lasts until a person does something about it.
func (r Reason) TakesPerson() bool {
	switch r {
	case NeedsLogin, Withheld, Asked, Unread, Client, Untrusted, Paused:
		return true
	}
	return false
}

// Facts are what decides of an account that is past its due moment and not in
// flight.
type Facts struct {
	NeedsLogin, Withheld, Paused, Asked, Lingering, Ambiguous, Unread, Client, Unsettled, PutOff bool
	// Pause is why its next try was put off; None: it was not.
	Pause Reason
	// Planned: the account has a turn; Reached: whose moment has come.
	Planned, Reached bool
	// Of its provider: a process runs (Running) and takes turns (Serving), no
	// room is in flight (Full), and the loop has not been asleep (Awake).
	Running, Serving, Full, Awake bool
}

// Why gives the reason, the one that lasts longest first.
func Why(f Facts) Reason {
	switch {
	case f.Withheld:
		return Withheld
	case f.NeedsLogin:
		return NeedsLogin
	case f.Paused:
		return Paused
	case f.Unsettled:
		return Unsettled
	case f.Planned && f.Reached:
		switch {
		case !f.Running:
			return Down
		case !f.Serving:
			return Starting
		case f.Full:
			return QueueFull
		case f.Awake:
			return NextTurn
		}
		return None
	case f.Lingering:
		return Lingering
	case f.Unread:
		return Unread
	case f.Client:
		return Client
	case f.Ambiguous:
		return Replay
	case !f.Planned:
		return None
	case f.Asked:
		return Asked
	case f.Pause != None:
		return f.Pause
	case f.PutOff:
		return PutOff
	}
	return None
}
