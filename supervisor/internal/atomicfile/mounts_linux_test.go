package atomicfile

import "testing"

func TestInMounts(t *testing.T) {
	const list = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw\n" +
		`37 35 98:0 /a /srv/my\040bots/to\134ken.json rw - ext4 /dev/vda1 rw` + "\nshort\n"
	for path, want := range map[string]bool{"/mnt2": true, `/srv/my bots/to\ken.json`: true, "/mnt1": false, "/srv": false} {
		if got := inMounts(list, path); got != want {
			t.Errorf("%s: %t", path, got)
		}
	}
}
