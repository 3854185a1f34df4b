package control

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/heartbeat"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

const prometheusDir = "../../configs/prometheus"

type alertRule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

// shippedRules are those that stand in configs, with every key known.
func shippedRules(t *testing.T) (all []alertRule) {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string      `yaml:"name"`
			Rules []alertRule `yaml:"rules"`
		} `yaml:"groups"`
	}
	f, err := os.Open(filepath.Join(prometheusDir, "rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	decoder := yaml.NewDecoder(f)
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// exposedLabels are the names of everything that there is to scrape, each with its labels.
func exposedLabels(t *testing.T) map[string][]string {
	t.Helper()
	var all families
	at := time.Unix(1_800_000_000, 0)
	all.ofStatus(Status{
		StartedAt: at, LookedAt: at, Heartbeat: &heartbeat.Status{}, Metrics: &MetricsListener{CertificateExpiry: at},
		Accounts:  []Account{{Name: "a", Shown: refresh.Shown{Expiry: at, RefreshExpiry: at, GrantExpiry: at, Due: at, LastRefresh: at}, Sinks: []Delivery{{}}, Outage: &Outage{}}},
		Providers: []Provider{{Name: "p", Measured: refresh.Measured{Ended: map[refresh.Outcome]uint64{{Act: "refresh", Result: "ok"}: 1}}}},
	})
	all.ofSinks([]Sink{{Name: "s", Process: &SinkProcess{}, Summary: sink.Summary{LastDelivery: at}}})
	all.ofMemory(Status{PID: os.Getpid()}, nil)
	all.ofAlerts([]event.Alert{{Type: event.LoginDueSoon}})
	names := map[string][]string{}
	for line := range strings.Lines(exposed(t, all)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, labels, _ := strings.Cut(line, "{")
		names[strings.Fields(name)[0]] = regexp.MustCompile(`\w+=`).FindAllString(labels, -1)
	}
	return names
}

// TestRules: the alert rules go by metrics that there are, and name labels that these have.
func TestRules(t *testing.T) {
	ofOthers := []string{"absent", "up", "time", "and", "or", "unless"} // of Prometheus itself
	labels := exposedLabels(t)
	seen := map[string]bool{}
	for _, r := range shippedRules(t) {
		if seen[r.Alert] || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["action"] == "" {
			t.Errorf("%q is there twice, or lacks a severity, a summary or an action: %+v", r.Alert, r)
		}
		seen[r.Alert] = true
		for _, match := range regexp.MustCompile(`type="(\w+)"`).FindAllStringSubmatch(r.Expr, -1) {
			if match[1] != string(event.LoginDueSoon) {
				t.Errorf("%s: nobody knows alerts of type %s", r.Alert, match[1])
			}
		}
		has := []string{}
		for _, word := range regexp.MustCompile(`[A-Za-z_:][\w:]*`).FindAllString(regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(r.Expr, ""), -1) {
			of, known := labels[word]
			if !known && !slices.Contains(ofOthers, word) {
				t.Errorf("%s: there is nothing called %s to scrape", r.Alert, word)
			}
			has = append(has, of...)
		}
		for _, text := range r.Annotations {
			for _, match := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(text, -1) {
				if !slices.Contains(has, match[1]+"=") {
					t.Errorf("%s: %q names a label that is not there", r.Alert, text)
				}
			}
		}
	}
	if len(seen) < 5 {
		t.Errorf("only %d rules were seen", len(seen))
	}
}

// TestScrapeConfiguration: the job has the name by which the rules go.
func TestScrapeConfiguration(t *testing.T) {
	var file struct {
		RuleFiles     []string `yaml:"rule_files"`
		ScrapeConfigs []struct {
			JobName string `yaml:"job_name"`
		} `yaml:"scrape_configs"`
	}
	data, err := os.ReadFile(filepath.Join(prometheusDir, "prometheus.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, &file); err != nil || len(file.ScrapeConfigs) != 1 || !slices.Equal(file.RuleFiles, []string{"rules.yml"}) {
		t.Fatalf("%v, %+v", err, file)
	}
	for _, r := range shippedRules(t) {
		for _, match := range regexp.MustCompile(`job="([^"]*)"`).FindAllStringSubmatch(r.Expr, -1) {
			if match[1] != file.ScrapeConfigs[0].JobName {
				t.Errorf("%s goes by job %s", r.Alert, match[1])
			}
		}
	}
}

// TestPromtoolTakesThem asks Prometheus' own tool about both files, when the rules fire, and
// whether it can read what the dashboard asks, where it is installed.
func TestPromtoolTakesThem(t *testing.T) {
	promtool := os.Getenv("PROMTOOL")
	if promtool == "" {
		var err error
		if promtool, err = exec.LookPath("promtool"); err != nil {
			t.Skip("neither PROMTOOL nor PATH has promtool: the rules are not tried")
		}
	}
	asked := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(asked, asRules(t, shippedDashboard(t).expressions()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"check", "rules", prometheusDir + "/rules.yml"}, {"check", "config", prometheusDir + "/prometheus.yml"}, {"test", "rules", "testdata/rules.yml"},
		{"check", "rules", asked},
	} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// asRules are expressions as rules that record what comes of each; what fills a variable of the
// dashboard is none.
func asRules(t *testing.T, expressions []string) []byte {
	t.Helper()
	type recording struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var rules []recording
	for _, expr := range expressions {
		if expr != "" && !strings.HasPrefix(expr, "label_values(") {
			rules = append(rules, recording{fmt.Sprintf("asked%d", len(rules)), expr})
		}
	}
	if len(rules) < 20 {
		t.Fatalf("the dashboard asks only %d times", len(rules))
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	return text
}
