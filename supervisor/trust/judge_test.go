package trust

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The users of the tests: we are 1000, and the machine has alice, bob and bots.
const (
	us, alice, bob, bots = 1000, 1001, 1002, 1003

	ourGroup, aliceGroup, bobGroup, botsGroup = 1000, 1001, 1002, 1003
	staff, team, unnamed                      = 50, 60, 2000
)

func machine(t *testing.T) Judge {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return Judge{self: us, users: directoryOf(
		write("passwd", `root:x:0:0:root:/root:/bin/bash
us:x:1000:1000::/home/us:/bin/bash
alice:x:1001:1001::/home/alice:/bin/bash
bob:x:1002:1002::/home/bob:/bin/bash
bots:x:1003:1003::/var/lib/bots:/bin/false
# a comment:x:7:7
broken
`),
		write("group", `root:x:0:
staff:x:50:
team:x:60:us,bob
us:x:1000:
alice:x:1001:
bob:x:1002:alice
bots:x:1003:bots
`))}
}

func folder(path string, mode uint32, uid, gid int) facts {
	return facts{path: path, mode: unix.S_IFDIR | mode, uid: uid, gid: gid}
}

func file(path string, mode uint32, uid, gid int) facts {
	return facts{path: path, mode: unix.S_IFREG | mode, uid: uid, gid: gid}
}

func link(path string, uid int) facts {
	return facts{path: path, mode: unix.S_IFLNK | 0o777, uid: uid, gid: uid}
}

// list is an access control list with a mask that allows everything.
func list(entries ...[3]int) []byte {
	b := binary.LittleEndian.AppendUint32(nil, aclVersion)
	for _, e := range append(entries, [3]int{aclMask, 7, 0}) {
		b = binary.LittleEndian.AppendUint16(b, uint16(e[0]))
		b = binary.LittleEndian.AppendUint16(b, uint16(e[1]))
		b = binary.LittleEndian.AppendUint32(b, uint32(e[2]))
	}
	return b
}

func with(f facts, acl []byte) facts {
	f.acl = acl
	return f
}

// TestWays holds each way against the rule for data and the one for what steers.
func TestWays(t *testing.T) {
	root, tmp := folder("/", 0o755, 0, 0), folder("/tmp", 0o1777, 0, 0)
	home := folder("/home", 0o755, 0, 0)
	for name, tc := range map[string]struct {
		way           []facts
		rule          Rule
		data, steers  string // what the refusal says; "": trusted
		owner         string // the folder of the other user who is trusted with data
		open          string // folders that are taken though others may write into them
		inNamespace   bool
		unknown       int
		sharedAllowed bool
	}{
		"root's":                             {way: []facts{root, folder("/etc", 0o755, 0, 0), file("/etc/a", 0o600, 0, 0)}},
		"a home folder with a private group": {way: []facts{root, home, folder("/home/us", 0o775, us, ourGroup), file("/home/us/a", 0o664, us, ourGroup)}},
		"/var/run is a link":                 {way: []facts{root, folder("/var", 0o755, 0, 0), link("/var/run", 0), folder("/run", 0o755, 0, 0)}},
		"/home is a link":                    {way: []facts{root, link("/home", 0), folder("/srv/home", 0o755, 0, 0), folder("/srv/home/us", 0o700, us, ourGroup)}},
		"/usr/local of a group without members": {way: []facts{root, folder("/usr", 0o755, 0, 0), folder("/usr/local", 0o2775, 0, staff), folder("/usr/local/bin", 0o2775, 0, staff),
			file("/usr/local/bin/a", 0o755, 0, staff)}},
		"a secret's ..data": {way: []facts{root, folder("/secrets", 0o1777, 0, unnamed), link("/secrets/key", 0), link("/secrets/..data", 0),
			folder("/secrets/..2026", 0o755, 0, unnamed), file("/secrets/..2026/key", 0o640, 0, unnamed)}},
		"/var/lib/private under DynamicUser": {way: []facts{root, folder("/var", 0o755, 0, 0), folder("/var/lib", 0o755, 0, 0), link("/var/lib/tokenkeeper", 0),
			folder("/var/lib/private", 0o700, 0, 0), folder("/var/lib/private/tokenkeeper", 0o755, us, ourGroup)}},
		"$CREDENTIALS_DIRECTORY": {way: []facts{root, folder("/run", 0o755, 0, 0), folder("/run/credentials", 0o755, 0, 0),
			folder("/run/credentials/a.service", 0o500, us, ourGroup), with(file("/run/credentials/a.service/key", 0o440, 0, 0), list([3]int{aclUser, 4, us}))}},
		"a rootless container's bind mount": {inNamespace: true, unknown: 2,
			way: []facts{folder("/", 0o755, unmapped, unmapped), folder("/data", 0o755, us, ourGroup), file("/data/a", 0o600, unmapped, unmapped)}},
		"nobody's where there is no namespace": {way: []facts{root, folder("/data", 0o755, unmapped, unmapped)}, owner: "/data",
			steers: "/data (a folder of mode 0755, of user 65534, group 65534) belongs to user 65534"},
		"an empty folder for all, with the key": {way: []facts{root, folder("/empty", 0o777, 0, 0)}, rule: Rule{OpenFolder: true}, sharedAllowed: true, open: "/empty",
			steers: "can be changed by everybody on this machine"},
		"an empty folder for all, without it": {way: []facts{root, folder("/empty", 0o777, 0, 0)},
			data: "trust_folder: true", steers: "chmod go-w /empty"},
		"a folder of ours below one for all, with the key": {way: []facts{root, folder("/data", 0o777, 0, 0), folder("/data/tokens", 0o700, us, ourGroup)}, rule: Rule{OpenFolder: true},
			open: "/data", steers: "can be changed by everybody on this machine: chmod go-w /data"},
		"the same, without it": {way: []facts{root, folder("/data", 0o777, 0, 0), folder("/data/tokens", 0o700, us, ourGroup)},
			data:   "/data (a folder of mode 0777, of root (0), root (0)) can be changed by everybody on this machine: chmod go-w /data, or, if they may see and replace what is delivered there, trust_folder: true",
			steers: "can be changed by everybody"},
		"another's folder below one for all, with the key": {way: []facts{root, folder("/data", 0o777, 0, 0), folder("/data/a", 0o755, bots, botsGroup), folder("/data/a/b", 0o777, bob, bobGroup)},
			rule: Rule{OpenFolder: true}, open: "/data /data/a/b", owner: "/data/a", sharedAllowed: true, steers: "can be changed by everybody"},
		"another's folder in a sticky folder, with the key": {way: []facts{root, tmp, folder("/tmp/a", 0o755, bob, bobGroup)}, rule: Rule{OpenFolder: true},
			open: "/tmp", owner: "/tmp/a", steers: "who may have put it there"},
		"our folder in a sticky folder, with the key": {way: []facts{root, tmp, folder("/tmp/a", 0o755, us, ourGroup)}, rule: Rule{OpenFolder: true}},
		"another's link below a folder for all, with the key": {way: []facts{root, folder("/data", 0o777, 0, 0), link("/data/a", bob)}, rule: Rule{OpenFolder: true},
			data: "is a symbolic link of bob (1002)", steers: "can be changed by everybody"},
		"fsGroup with the key": {way: []facts{root, folder("/vol", 0o2775, 0, unnamed)}, rule: Rule{OpenFolder: true}, sharedAllowed: true, open: "/vol",
			steers: "can be changed by the group 2000"},
		"the folder of the bots": {way: []facts{root, folder("/var/lib/bots", 0o755, bots, botsGroup), file("/var/lib/bots/a", 0o640, bots, botsGroup)}, owner: "/var/lib/bots",
			steers: "belongs to bots (1003): chown root /var/lib/bots, or trust that user: trust: [bots]"},
		"the folder of the bots, who are trusted": {way: []facts{root, folder("/var/lib/bots", 0o755, bots, botsGroup)}, rule: Rule{Users: []int{bots}}},
		"below another user's home": {way: []facts{root, home, folder("/home/alice", 0o750, alice, aliceGroup), folder("/home/alice/bots", 0o755, alice, aliceGroup)}, owner: "/home/alice",
			steers: "belongs to alice"},
		"one user's folder in another's": {way: []facts{root, home, folder("/home/alice", 0o750, alice, aliceGroup), folder("/home/alice/bob", 0o755, bob, bobGroup)},
			data: "/home/alice/bob (a folder of mode 0755, of bob (1002), bob (1002)) belongs to bob (1002), though /home/alice belongs to alice (1001)", steers: "belongs to alice"},
		"a group with another member": {way: []facts{root, folder("/srv/a", 0o775, us, team)},
			data: "can be changed by the group team (60)", steers: "can be changed by the group team (60)"},
		"a folder of root for one user's private group": {way: []facts{root, folder("/var/lib/bots", 0o2770, 0, botsGroup), file("/var/lib/bots/a", 0o640, bots, botsGroup)},
			owner: "/var/lib/bots", steers: "can be changed by the group bots (1003)"},
		"that of another below it": {way: []facts{root, folder("/srv", 0o2770, 0, botsGroup), folder("/srv/a", 0o2770, 0, aliceGroup)},
			data: "can be changed by the group alice (1001)", steers: "can be changed by the group bots"},
		"a private group that another was added to": {way: []facts{root, folder("/srv/b", 0o775, bob, bobGroup)},
			data: "can be changed by the group bob (1002)", steers: "belongs to bob"},
		"everybody's folder far above, with the key": {way: []facts{root, folder("/srv", 0o777, 0, 0), folder("/srv/a", 0o755, 0, 0), folder("/srv/a/b", 0o755, 0, 0)},
			rule: Rule{OpenFolder: true}, open: "/srv", steers: "/srv"},
		"our file in a sticky folder": {way: []facts{root, tmp, file("/tmp/a", 0o600, us, ourGroup)}},
		"another's file in a sticky folder": {way: []facts{root, tmp, file("/tmp/a", 0o666, bob, bobGroup)},
			data: "/tmp/a (mode 0666, of bob (1002), bob (1002)) belongs to bob (1002), who may have put it there", steers: "who may have put it there"},
		"another's folder in a sticky folder": {way: []facts{root, tmp, folder("/tmp/a", 0o755, bob, bobGroup)},
			data: "who may have put it there", steers: "who may have put it there"},
		"another's link": {way: []facts{root, tmp, link("/tmp/a", bob)},
			data: "is a symbolic link of bob (1002)", steers: "is a symbolic link of bob (1002)"},
		"a link of the folder's owner": {way: []facts{root, folder("/home/alice", 0o755, alice, aliceGroup), link("/home/alice/a", alice)},
			data: "is a symbolic link of alice (1001)", steers: "belongs to alice"},
		"a program that everybody writes": {way: []facts{root, file("/bin/a", 0o777, 0, 0)},
			data: "can be changed by everybody", steers: "can be changed by everybody on this machine: chmod go-w /bin/a"},
		"a list that names us": {way: []facts{root, with(folder("/srv", 0o770, 0, 0), list([3]int{aclUser, 7, us}))}},
		"a list that names another": {way: []facts{root, with(folder("/srv", 0o770, 0, 0), list([3]int{aclUser, 7, bob}))},
			data: "can be changed by bob (1002): setfacl -b /srv && chmod go-w /srv", steers: "can be changed by bob"},
		"a list that names another, who reads": {way: []facts{root, with(folder("/srv", 0o770, 0, 0), list([3]int{aclUser, 5, bob}))}},
		"a list with a group": {way: []facts{root, with(folder("/srv", 0o770, 0, 0), list([3]int{aclGroup, 7, team}))},
			data: "the group team (60)", steers: "the group team"},
		"a list whose owning group writes": {way: []facts{root, with(folder("/srv", 0o770, 0, team), list([3]int{aclGroupObj, 7, 0}))},
			data: "the group team (60)", steers: "the group team"},
		"a list whose owning group reads": {way: []facts{root, with(folder("/srv", 0o770, 0, team), list([3]int{aclGroupObj, 5, 0}))}},
		"a list that can't be read": {way: []facts{root, with(folder("/srv", 0o770, 0, 0), []byte{9})},
			data: "unknown form", steers: "unknown form"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, steers := range []bool{false, true} {
				w := &way{judge: machine(t), rule: tc.rule}
				w.judge.inNamespace = tc.inNamespace
				w.rule.Steers = steers
				var err error
				for i := 0; i < len(tc.way) && err == nil; i++ {
					err = w.enter(tc.way[i], i == len(tc.way)-1)
				}
				want := map[bool]string{false: tc.data, true: tc.steers}[steers]
				var refusal *Refusal
				switch {
				case want == "" && err != nil:
					t.Errorf("steers %t: %v", steers, err)
				case want != "" && !errors.As(err, &refusal):
					t.Errorf("steers %t: trusted", steers)
				case want != "" && !strings.Contains(err.Error(), want):
					t.Errorf("steers %t: %v; want %q in it", steers, err, want)
				}
				if want != "" || steers {
					continue
				}
				if got := w.found.Owner; (got == nil) != (tc.owner == "") || got != nil && got.Folder != tc.owner {
					t.Errorf("owner: %+v, want %q", got, tc.owner)
				}
				if got := strings.Join(w.found.Open, " "); got != tc.open {
					t.Errorf("open: %q, want %q", got, tc.open)
				}
				if len(w.found.Unknown) != tc.unknown {
					t.Errorf("unknown: %q", w.found.Unknown)
				}
				if tc.sharedAllowed && !w.found.Shared {
					t.Error("the folder is not called shared")
				}
			}
		})
	}
}

func TestDescribe(t *testing.T) {
	j := machine(t)
	for _, tc := range []struct {
		g    Grounds
		want string
	}{
		{Grounds{}, ""},
		{Grounds{Owner: &Owner{UID: bots, Folder: "/var/lib/bots"}}, "trusts bots (1003), who owns /var/lib/bots"},
		{Grounds{Owner: &Owner{UID: bots, Folder: "/var/lib/bots", ByGroup: true}}, "trusts bots (1003), whose group may write to /var/lib/bots"},
		{Grounds{Open: []string{"/data"}}, "trusts whoever may write to /data, by trust_folder"},
		{Grounds{Unknown: []string{"/data"}}, "the owner of /data is not known in this user namespace"},
	} {
		if got := j.Describe(tc.g); got != tc.want {
			t.Errorf("%+v: %q, want %q", tc.g, got, tc.want)
		}
	}
}

// FuzzList reads any list without a panic.
func FuzzList(f *testing.F) {
	f.Add(list([3]int{aclUser, 7, bob}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		writers, _, err := writersIn(b)
		if err != nil && writers != nil {
			t.Error("writers in a list that can't be read")
		}
	})
}
