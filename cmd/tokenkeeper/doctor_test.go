package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/doctor"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// setUp is what doctor examines of a configuration.
func setUp(t *testing.T, config string) doctor.Setup {
	t.Helper()
	s, err := visit{testEnv("", new(bytes.Buffer), new(bytes.Buffer)), config}.setUp(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What doctor examines is what the configuration names, each broker and lock once, and
// what check finds is among it.
func TestDoctorExaminesWhatIsConfigured(t *testing.T) {
	t.Setenv("TK_TEST_SECRET", "canary-secret")
	w := newWorld(t, `accounts:
  one: {provider: schwab, client_id: id, client_secret: "${env:TK_TEST_SECRET}", redirect_url: "https://127.0.0.1:8182", shared_file: {path: out/one.json, format: json}}
  two: {provider: schwab, client_id: id, client_secret: "${env:TK_TEST_SECRET}", redirect_url: "https://127.0.0.1:8182"}
  three: {provider: saxo, client_id: id, client_secret: "${env:TK_TEST_SECRET}", refresh: {timeout: 60s}}
sinks:
  all: {type: unixsocket, path: all.sock}
`)
	s := setUp(t, w.config)
	if len(s.Brokers) != 2 || s.Brokers[0].Account.Name != "one" || s.Brokers[1].Account.Name != "three" || !strings.HasPrefix(s.Brokers[0].Address, "https://api.schwabapi.com/") {
		t.Errorf("brokers: %+v", s.Brokers)
	}
	if want := (doctor.Lock{Account: "one", Path: w.dir + "/out/one.json.lock"}); len(s.Locks) != 1 || s.Locks[0] != want {
		t.Errorf("locks: %+v, want %+v", s.Locks, want)
	}
	if s.Status != nil || s.StateDir != w.state || s.Config != w.config || s.Unchecked != "" || s.Stop != 75*time.Second {
		t.Errorf("got %+v", s)
	}
	found := false
	for _, f := range s.Checked {
		found = found || f.Severity == doctor.Warning && strings.HasPrefix(f.Message, w.config+":6: accounts.three.redirect_url: is missing")
	}
	if !found {
		t.Errorf("what check finds is not there: %+v", s.Checked)
	}
}

// Without the secrets what is told without them is examined, and the secrets are a fault
// as long as nobody runs who has them. Of what is no configuration at least the state
// directory is known.
func TestDoctorWithoutTheSecrets(t *testing.T) {
	const account = `accounts:
  one: {provider: schwab, client_id: id, client_secret: "${env:TK_TEST_NOT_THERE}", redirect_url: "https://127.0.0.1:8182"}
`
	w := newWorld(t, account)
	s := setUp(t, w.config)
	if len(s.Brokers) != 1 || s.StateDir != w.state || len(s.Checked) == 0 || s.Checked[0].Severity != doctor.Fault || !strings.Contains(s.Checked[0].Message, "TK_TEST_NOT_THERE") {
		t.Errorf("without a secret: %+v", s)
	}
	w = newWorld(t, account+"nonsense: 1\n")
	if s := setUp(t, w.config); len(s.Brokers) != 0 || s.StateDir != w.state || len(s.Checked) == 0 {
		t.Errorf("with nonsense: %+v", s)
	}
	write(t, w.config, "a: [\n")
	if s := setUp(t, w.config); s.StateDir != "" || s.Unseen == "" || len(s.Checked) == 0 {
		t.Errorf("no YAML: %+v", s)
	}
}

// That nobody can look into the state directory does not say that no supervisor runs.
func TestDoctorDoesNotGuess(t *testing.T) {
	t.Setenv("TK_TEST_ID", "app-key")
	t.Setenv("TK_TEST_SECRET", "app-secret-value")
	w := newWorld(t, twoAccounts)
	if s := setUp(t, w.config); s.Unseen != "" || s.Silent != "" || len(s.Checked) > 0 {
		t.Errorf("nothing is wrong, and nobody runs: %+v", s)
	}
	if err := os.Chmod(w.state, 0o777); err != nil {
		t.Fatal(err)
	}
	if s := setUp(t, w.config); s.Unseen == "" || len(s.Checked) != 1 || !strings.Contains(s.Checked[0].Message, "mode 0777") {
		t.Errorf("a directory for everybody: %+v", s)
	}
}

// By the socket of another supervisor nothing is said of the one that the configuration sets up.
func TestDoctorOfAnotherSocket(t *testing.T) {
	w := newWorld(t, twoAccounts)
	other, _, _ := serve(t, &fake{})
	command(t, "", "doctor", "-c", w.config, "--socket", other).says(t, exitUsage, "",
		"tokenkeeper: --socket "+other+" is that of another supervisor (PID 4242, with the state directory /var/lib/tokenkeeper) than "+w.config+" sets up ("+w.state+")")
	own, _, _ := serve(t, &fake{status: func() control.Status {
		s := sampleStatus()
		s.StateDir = w.state
		return s
	}})
	write(t, w.config, "state_dir: state\ncontrol: {socket: "+own+"}\n"+twoAccounts)
	nobody := filepath.Join(t.TempDir(), "c.sock")
	command(t, "", "doctor", "-c", w.config, "--socket", nobody).says(t, exitUsage, "",
		"tokenkeeper: nobody answers on --socket "+nobody+", and the supervisor (PID 4242) of "+w.config+" does on "+own+": leave out --socket")
	if err := (visit{testEnv("", new(bytes.Buffer), new(bytes.Buffer)), w.config}).isOfSocket(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestDiagnosisForAPerson(t *testing.T) {
	d := doctor.Diagnosis{Status: "critical", Code: 2, Examined: []string{"disk"}, Unexamined: []string{"the clock: nobody tells"}, Findings: []doctor.Finding{
		{Severity: doctor.Fault, About: "disk", Message: strings.TrimSpace(strings.Repeat("long ", 20)), Remedy: "make room"},
		{Severity: doctor.Warning, About: "clock", Message: "is wrong"},
	}}
	long := strings.Repeat("long ", 19) + "long"
	want := "fault: disk: " + long + "; make room\nwarning: clock: is wrong\nnot examined: the clock: nobody tells\n1 fault, 1 warning\n"
	if got := renderDiagnosis(d, painter{}, whole); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for line := range strings.Lines(renderDiagnosis(d, painter{}, narrow)) {
		if len(strings.TrimSuffix(line, "\n")) > narrow {
			t.Errorf("too wide: %s", line)
		}
	}
	well := doctor.Diagnosis{Status: "ok", Examined: []string{"supervisor", "disk"}}
	if got := renderDiagnosis(well, painter{on: true}, whole); got != "\x1b[32mall is well: supervisor, disk\x1b[0m\n" {
		t.Errorf("got %q", got)
	}
}

// Beside a supervisor that runs doctor finds nothing but what this machine lacks; then the
// broker is gone, and it is told first. Nothing of an account is sent or shown.
func TestDoctor(t *testing.T) {
	skipUnlessRaced(t)
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: time.Hour, RefreshLifetime: 2 * time.Hour})
	s := newSite(t, "accounts:\n"+accountYAML(saxoAccount, saxo, saxo.TokenURL(), "before_expiry: 5m")+filesYAML)
	got := s.tool(t, "", "doctor")
	if want := "fault: supervisor: no supervisor runs with " + s.path("state"); got.code != 2 || !strings.HasPrefix(got.stdout, want) {
		t.Errorf("before a start: %+v, want %s", got, want)
	}
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	startRun(t, s).delivered(saxoAccount, 1)
	d := decode[doctor.Diagnosis](t, s.tool(t, "", "doctor", "--json").stdout)
	for _, f := range d.Findings {
		if f.About != "clock" && f.About != "kernel" { // those of the machine that tests it
			t.Errorf("found beside one that runs: %s", f.Line())
		}
	}
	if len(d.Examined) != 7 {
		t.Errorf("examined %q, not %q", d.Examined, d.Unexamined)
	}
	mustHavePosted(t, saxo, saxoAccount, 0)
	saxo.Stop()
	got = s.tool(t, "", "doctor")
	if want := "fault: brokers: account " + saxoAccount + ": "; got.code != 2 || !strings.HasPrefix(got.stdout, want) || !strings.Contains(got.stdout, "can't be reached: connection refused; look at the network") {
		t.Errorf("with a broker that is gone: %+v, want %s", got, want)
	}
	if secret := saxo.Config().ClientSecret; strings.Contains(got.stdout+got.stderr, secret) {
		t.Errorf("a secret was printed: %+v", got)
	}
}
