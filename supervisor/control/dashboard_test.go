package control

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dashboard is what is read of Grafana's model of one
// (https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/).
type dashboard struct {
	UID           string `json:"uid"`
	Title         string `json:"title"`
	SchemaVersion int    `json:"schemaVersion"`
	Version       int    `json:"version"`
	Refresh       string `json:"refresh"`
	Time          struct {
		From string `json:"from"`
		To   string `json:"to"`
	} `json:"time"`
	Annotations struct {
		List []struct {
			Expr string `json:"expr"`
		} `json:"list"`
	} `json:"annotations"`
	Templating struct {
		List []struct {
			Name       string          `json:"name"`
			Type       string          `json:"type"`
			Query      json.RawMessage `json:"query"`
			Definition string          `json:"definition"`
		} `json:"list"`
	} `json:"templating"`
	Panels []panel `json:"panels"`
}

type panel struct {
	ID          int         `json:"id"`
	Type        string      `json:"type"`
	Title       string      `json:"title"`
	Description string      `json:"description"`
	Datasource  *datasource `json:"datasource"`
	GridPos     struct {
		X, Y, W, H int
	} `json:"gridPos"`
	FieldConfig *struct {
		Defaults  map[string]any `json:"defaults"`
		Overrides []struct {
			Matcher struct {
				ID      string `json:"id"`
				Options string `json:"options"`
			} `json:"matcher"`
		} `json:"overrides"`
	} `json:"fieldConfig"`
	Options map[string]any `json:"options"`
	Targets []struct {
		RefID        string      `json:"refId"`
		Datasource   *datasource `json:"datasource"`
		Expr         string      `json:"expr"`
		LegendFormat string      `json:"legendFormat"`
		Format       string      `json:"format"`
		Range        bool        `json:"range"`
		Instant      bool        `json:"instant"`
	} `json:"targets"`
	Transformations []struct {
		ID      string `json:"id"`
		Options struct {
			RenameByName map[string]string `json:"renameByName"`
		} `json:"options"`
	} `json:"transformations"`
}

type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// shippedDashboard is the one that stands in configs.
func shippedDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	data, err := os.ReadFile("../../configs/grafana/tokenkeeper.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// expressions are all that the dashboard asks of Prometheus.
func (d dashboard) expressions() (all []string) {
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			all = append(all, q.Expr)
		}
	}
	for _, a := range d.Annotations.List {
		all = append(all, a.Expr)
	}
	for _, v := range d.Templating.List {
		all = append(all, v.Definition)
	}
	return all
}

// TestDashboard: it has what Grafana needs of a dashboard and its panels, which stand
// beside each other.
func TestDashboard(t *testing.T) {
	d := shippedDashboard(t)
	if d.UID == "" || len(d.UID) > 40 || d.Title == "" || d.SchemaVersion < 36 || d.Version < 1 || d.Time.From == "" || d.Time.To == "" || d.Refresh == "" {
		t.Errorf("the dashboard lacks something: %q %q, schema %d, version %d, %+v, %q", d.UID, d.Title, d.SchemaVersion, d.Version, d.Time, d.Refresh)
	}
	variables := []string{"__rate_interval"} // of Grafana itself
	for _, v := range d.Templating.List {
		if v.Name == "" || slices.Contains(variables, v.Name) || len(v.Query) == 0 || v.Type != "datasource" && v.Type != "query" {
			t.Errorf("variable %+v", v)
		}
		variables = append(variables, v.Name)
	}
	taken, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range d.Panels {
		at := p.GridPos
		if p.ID == 0 || ids[p.ID] || p.Title == "" || at.W < 1 || at.H < 1 || at.X < 0 || at.X+at.W > 24 {
			t.Errorf("panel %q has id %d and lies at %+v", p.Title, p.ID, at)
		}
		ids[p.ID] = true
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				if over := taken[[2]int{x, y}]; over != "" {
					t.Fatalf("panel %q lies over %q", p.Title, over)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		p.check(t)
	}
	for _, expr := range d.expressions() {
		for _, match := range regexp.MustCompile(`\$\{?(\w+)`).FindAllStringSubmatch(expr, -1) {
			if !slices.Contains(variables, match[1]) {
				t.Errorf("%s: there is no variable %s", expr, match[1])
			}
		}
	}
}

// check is what a panel needs that shows something.
func (p panel) check(t *testing.T) {
	t.Helper()
	ours := datasource{"prometheus", "${datasource}"}
	if !slices.Contains([]string{"stat", "table", "timeseries"}, p.Type) || p.Description == "" || p.Datasource == nil || *p.Datasource != ours ||
		p.FieldConfig == nil || p.FieldConfig.Defaults == nil || len(p.Options) == 0 || len(p.Targets) == 0 {
		t.Errorf("panel %q, a %s, lacks something", p.Title, p.Type)
		return
	}
	columns, refs := map[string]bool{}, map[string]bool{}
	for _, tr := range p.Transformations {
		for from, to := range tr.Options.RenameByName {
			refs[strings.TrimPrefix(from, "Value #")], columns[to] = true, true
		}
	}
	for _, o := range p.FieldConfig.Overrides {
		if o.Matcher.ID != "byName" || !columns[o.Matcher.Options] {
			t.Errorf("panel %q changes how the column %q looks, and has none", p.Title, o.Matcher.Options)
		}
	}
	seen := map[string]bool{}
	for _, q := range p.Targets {
		if q.RefID == "" || seen[q.RefID] || q.Datasource == nil || *q.Datasource != ours || q.Expr == "" || q.Range == q.Instant ||
			(p.Type == "timeseries") != q.Range || (p.Type == "table") != (q.Format == "table" && refs[q.RefID]) {
			t.Errorf("panel %q asks wrongly: %+v", p.Title, q)
		}
		seen[q.RefID] = true
	}
}

// leftOut are the metrics that the dashboard does not show, and why.
var leftOut = map[string]string{
	"tokenkeeper_account_version":      "a number that says nothing by itself",
	"tokenkeeper_sink_behind_versions": "by sink and account it is too much to look at; the sinks say of how many accounts they lack the newest",
	"tokenkeeper_sink_failures":        "so it is with these",
}

// TestDashboardShowsWhatThereIs: it asks for metrics that there are, by labels that these
// have, and for each of them, but those that are left out on purpose.
func TestDashboardShowsWhatThereIs(t *testing.T) {
	labels, shown := exposedLabels(t), map[string]bool{}
	ofOthers := []string{
		"time", "and", "or", "unless", "by", "vector", "sum", "count", "min", "max", "quantile", "topk", "bottomk", "rate", "increase", "delta", "changes",
		"histogram_quantile", "label_values",
	}
	selector, word := regexp.MustCompile(`(\w+)\{([^}]*)\}`), regexp.MustCompile(`[A-Za-z_:][\w:]*`)
	d := shippedDashboard(t)
	for _, expr := range d.expressions() {
		for _, match := range selector.FindAllStringSubmatch(expr, -1) {
			for _, label := range regexp.MustCompile(`(\w+)=`).FindAllStringSubmatch(match[2], -1) {
				if !has(labels, match[1], label[1]) {
					t.Errorf("%s: %s has no label %s", expr, match[1], label[1])
				}
			}
		}
		bare := regexp.MustCompile(`by \([^)]*\)|\{[^}]*\}|\[[^\]]*\]|, \w+\)$`).ReplaceAllString(expr, "")
		for _, name := range word.FindAllString(bare, -1) {
			if _, known := labels[name]; !known && !slices.Contains(ofOthers, name) {
				t.Errorf("%s: there is nothing called %s to scrape", expr, name)
			}
			shown[familyOf(name)] = true
		}
	}
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			for _, match := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(q.LegendFormat, -1) {
				if err := keeps(labels, q.Expr, match[1]); err != nil {
					t.Errorf("panel %q: %v", p.Title, err)
				}
			}
		}
	}
	for name := range labels {
		if of := familyOf(name); shown[of] == (leftOut[of] != "") {
			t.Errorf("%s: shown %t, left out because %q", of, shown[of], leftOut[of])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(leftOut)) {
		if _, known := labels[name]; !known {
			t.Errorf("%s is left out, and there is no such metric", name)
		}
	}
}

// has says whether a metric has a label, of its own or from who scrapes.
func has(labels map[string][]string, metric, label string) bool {
	return label == "job" || label == "instance" || slices.Contains(labels[metric], label+"=")
}

// keeps says whether what comes of an expression has a label.
func keeps(labels map[string][]string, expr, label string) error {
	if by := regexp.MustCompile(`by \(([^)]*)\)`).FindStringSubmatch(expr); by != nil && !slices.Contains(strings.Split(by[1], ", "), label) {
		return fmt.Errorf("%s does not keep %s", expr, label)
	}
	for _, match := range regexp.MustCompile(`(tokenkeeper_\w+)\{`).FindAllStringSubmatch(expr, -1) {
		if !has(labels, match[1], label) {
			return fmt.Errorf("%s: %s has no label %s", expr, match[1], label)
		}
	}
	return nil
}

// familyOf is the metric whose series has that name.
func familyOf(series string) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if name, is := strings.CutSuffix(series, suffix); is {
			return name
		}
	}
	return series
}
