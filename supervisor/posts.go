package supervisor

import (
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/configfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/restore"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
)

// This file says which part of the supervisor has which post in its crew.

var (
	alertsPost    = post{keeping, "alerts", ""}
	restorePost   = post{keeping, "restore", ""}
	heartbeatPost = post{keeping, "heartbeat", ""}
	metricsPost   = post{keeping, "metrics", ""}
	watchPost     = post{keeping, "configuration's files", ""}
	historyPost   = post{noting, "history", ""}
)

func providerPost(name string) post    { return post{keeping, "provider", name} }
func sharedPost(account string) post   { return post{keeping, "shared file", account} }
func sinkPost(name string) post        { return post{delivering, "sink", name} }
func sinkProcessPost(name string) post { return post{serving, "process of sink", name} }

// postAll gives everybody a post.
func (s *Supervisor) postAll() {
	there := s.roster.Now()
	s.crew.add(alertsPost, s.alerts)
	s.crew.add(historyPost, s.history)
	for name := range there.Members {
		s.postProvider(there, name)
	}
	for name := range there.Workers {
		s.postSink(there, name)
	}
	s.postHeartbeat(there)
	if s.metrics != nil {
		s.crew.add(metricsPost, s.metrics)
	}
	if s.opts.Reread != nil {
		s.crew.add(watchPost, configfile.NewWatch(configfile.WatchConfig{
			File: s.file, Referred: s.opts.Referred, Reload: s.reloadWritten, Log: s.log,
		}))
	}
	s.postRestorer()
}

// postProvider gives their posts to a provider and to who watches the shared files of its
// accounts.
func (s *Supervisor) postProvider(there *roster.Present, name string) {
	if late := s.crew.add(providerPost(name), there.Members[name]); late {
		there.Members[name].Drop()
	}
	for _, a := range there.Config.AccountsOf(name) {
		if a.SharedFile != nil {
			s.crew.add(sharedPost(a.Name), s.shared.Watch(a.Name))
		}
	}
}

func (s *Supervisor) postSink(there *roster.Present, name string) {
	if p, ok := there.Plugins[name]; ok {
		if late := s.crew.add(sinkProcessPost(name), p); late {
			p.Drop()
		}
	}
	s.crew.add(sinkPost(name), there.Workers[name])
}

func (s *Supervisor) postHeartbeat(there *roster.Present) {
	if there.Heartbeat != nil {
		s.crew.add(heartbeatPost, there.Heartbeat)
	}
}

// postRestorer has sinks asked for what is lost, before anything is delivered to them.
// What has come since the start is in no doubt.
func (s *Supervisor) postRestorer() {
	doubted, there := map[string]bool{}, s.roster.Now()
	for name := range s.dir.Doubted() {
		if k, ok := there.KeeperOf(name); ok {
			st, _ := k.Status(name)
			doubted[name] = !st.Record.StoredAt.After(s.started)
		}
	}
	s.crew.add(restorePost, restore.New(restore.Config{
		Roster: s.roster, Store: s.dir.Store(), Doubted: doubted, Events: s.events, Log: s.log, Wall: s.opts.Seams.Wall,
	}))
}
