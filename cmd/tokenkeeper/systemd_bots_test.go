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

// ordered: the README's other lines have the service started for a bot, and before one.
func (s *service) ordered() {
	s.t.Helper()
	s.place(s.t, "etc/systemd/system/ordinary-bot.service", s.block("ini", "Wants=tokenkeeper.service")+"[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n")
	s.place(s.t, "etc/systemd/system/tokenkeeper.service.d/before.conf", s.block("ini", "Before=bot.service"))
	s.systemctl(s.t, "daemon-reload")
	s.systemctl(s.t, "stop", "tokenkeeper")
	s.systemctl(s.t, "start", "ordinary-bot")
	if state := s.stateOf("tokenkeeper"); state != "active" {
		s.t.Errorf("the bot has started, and the service is %s", state)
	}
	if before := s.property("Before"); !strings.Contains(" "+before+" ", " bot.service ") {
		s.t.Errorf("the service is started before %s", before)
	}
	s.systemctl(s.t, "stop", "ordinary-bot")
	s.inside(s.t, "rm", "/etc/systemd/system/tokenkeeper.service.d/before.conf")
	s.systemctl(s.t, "daemon-reload")
}

func (s *service) stateOf(unit string) string {
	s.t.Helper()
	return strings.TrimSpace(s.systemctl(s.t, "show", "-p", "ActiveState", "--value", unit))
}
