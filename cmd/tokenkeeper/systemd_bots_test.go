package main

import (
	"path/filepath"
	"strings"
)

// patient: a bot with the README's lines for that waits for its account's first token,
// as systemd shows. The bot's unit is returned.
func (s *service) patient(account string) (bot string) {
	s.t.Helper()
	bot = "patient-bot"
	s.place(s.t, "etc/systemd/system/tokenkeeper-wait@.service", readText(s.t, filepath.Join(repository, "configs", "systemd", "tokenkeeper-wait@.service")))
	s.place(s.t, "etc/systemd/system/"+bot+".service", strings.ReplaceAll(s.block("ini", "tokenkeeper-wait@"), "schwab-main", account)+
		"[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n")
	s.systemctl(s.t, "daemon-reload")
	s.systemctl(s.t, "start", "--no-block", bot)
	s.await(func() bool {
		shown, _ := s.try("systemctl", "status", "--no-pager", "--full", "tokenkeeper-wait@"+account) // 3: it is not active
		return strings.Contains(inOneLine(shown), "tokenkeeper login "+account)
	}, "systemd shows that the bot waits for a login")
	if state := s.stateOf(bot); state != "inactive" {
		s.t.Errorf("the bot is %s before it can have a token", state)
	}
	return bot
}

// started: the bot has its token, and has it at once when it is started again.
func (s *service) started(bot string) {
	s.t.Helper()
	s.await(func() bool { return s.stateOf(bot) == "active" }, "the bot starts when its account has a token")
	s.systemctl(s.t, "restart", bot)
	if state := s.stateOf(bot); state != "active" {
		s.t.Errorf("after its restart the bot is %s", state)
	}
	s.systemctl(s.t, "stop", bot)
}

func (s *service) stateOf(unit string) string {
	s.t.Helper()
	return strings.TrimSpace(s.systemctl(s.t, "show", "-p", "ActiveState", "--value", unit))
}
