package config_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

func TestReaders(t *testing.T) {
	src := source(t, account+"control:\n  socket: /run/tokenkeeper/control.sock\n  readers:\n"+
		"    - {user: root, accounts: [a]}\n    - {group: 2001, accounts: ['*']}\n    - {user: 1001, group: root, accounts: [a]}\n"+
		"    - {user: not-here-yet, group: nor-here, accounts: [a]}\n    - {user: 1002}\n")
	src.Bytes = append(src.Bytes, "sinks: {f: {type: file, path: x}}\n"...)
	cfg, warnings := load(t, src)
	want := []config.Reader{
		{User: "root", Accounts: []string{"a"}}, {Group: "2001", Accounts: []string{"*"}}, {User: "1001", Group: "root", Accounts: []string{"a"}},
		{User: "not-here-yet", Group: "nor-here", Accounts: []string{"a"}}, {User: "1002"},
	}
	if !reflect.DeepEqual(cfg.Control.Readers, want) {
		t.Errorf("%+v", cfg.Control.Readers)
	}
	var told []string
	for _, w := range warnings {
		told = append(told, w.String())
	}
	const wantTold = `tokenkeeper.yaml:9:14: control.readers.3.user: there is no user "not-here-yet" on this machine, and until there is, the line lets nobody in; useradd --system not-here-yet, or write the number
tokenkeeper.yaml:9:35: control.readers.3.group: there is no group "nor-here" on this machine, and until there is, the line lets nobody in; groupadd --system nor-here, or write the number
tokenkeeper.yaml:10:7: control.readers.4.accounts: the reader may read no account; write accounts: [NAME], or ["*"] for all`
	if got := strings.Join(told, "\n"); got != wantTold {
		t.Errorf("got:\n%s\nwant:\n%s", got, wantTold)
	}
	if a, all, none := want[0], want[1], want[4]; !a.Reads("a") || a.Reads("b") || !all.Reads("b") || none.Reads("a") || none.Reads("") || all.Reads("\x1b[2J") {
		t.Error("they read other accounts than theirs")
	}
}

func TestReaderProblems(t *testing.T) {
	const head = account + "control:\n  socket: /run/tokenkeeper/control.sock\n  readers: "
	for yaml, want := range map[string]string{
		head + "[{accounts: [a]}]":                                 `tokenkeeper.yaml:5:13: control.readers.0.user: the reader is nobody; write user: bot, or group: traders`,
		head + "[{user: 1, accounts: [b]}]":                        `tokenkeeper.yaml:5:34: control.readers.0.accounts: unknown account "b"; did you mean "a"?`,
		head + "[{user: 1, accounts: ['a*', a]}]":                  `tokenkeeper.yaml:5:34: control.readers.0.accounts: "a*" is a pattern, and a reader's accounts are named; name accounts, or write ["*"] for all`,
		head + "[{user: 1, accounts: []}]":                         `tokenkeeper.yaml:5:33: control.readers.0.accounts: is an empty list; name accounts, or write ["*"] for all`,
		head + "[{user: 65534, accounts: [a]}]":                    `tokenkeeper.yaml:5:20: control.readers.0.user: "65534" is what the kernel calls everybody who has no number here; write a user of its own`,
		head + "[{group: 65534, accounts: [a]}]":                   `tokenkeeper.yaml:5:21: control.readers.0.group: "65534" is what the kernel calls everybody who has no number here; write a group of its own`,
		head + "[{uid: 1, accounts: [a]}]":                         `tokenkeeper.yaml:5:14: control.readers.0.uid: unknown key; known here: accounts, group, user`,
		head + "{user: 1}":                                         `tokenkeeper.yaml:5:12: control.readers: wrong type: this must be a list of mappings: [{key: value}], not a mapping`,
		account + "control: {readers: [{user: 1, accounts: [a]}]}": `tokenkeeper.yaml:3:20: control.readers: they can't get at the socket, which is in the state directory, and that is for the supervisor alone; write control.socket: /run/tokenkeeper/control.sock`,
	} {
		_, _, err := config.Load(source(t, yaml+"\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot:\n%v\nwant:\n%s", yaml, err, want)
		}
	}
}
