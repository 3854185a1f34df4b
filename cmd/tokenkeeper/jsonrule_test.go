package main

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/doctor"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/explain"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
	"github.com/tokenkeeper/tokenkeeper/supervisor/verdict"
)

// printed is what the verbs print with --json and what the control API answers, each as
// an example.
func printed() []any {
	return []any{
		control.Status{}, control.ConfigDifference{}, control.ReloadAnswer{}, control.AccountList{}, control.RenameAnswer{}, control.ForgetAnswer{}, control.Probe{}, control.Sinks{}, control.Sink{}, control.Alerts{}, event.Alert{}, event.Event{}, control.TokenAnswer{}, control.RefreshAnswer{}, control.AccountTestAnswer{}, control.RevokeAnswer{}, control.PauseAnswers{}, control.ResumeAnswers{},
		control.RestartAnswer{}, control.SinkRestartAnswer{}, control.SinkTestAnswer{}, control.RedeliverAnswer{}, control.ImportAnswer{},
		begunLogin{}, control.LoginAnswer{}, control.LoggedInAnswer{}, control.AwaitedAnswer{}, control.DiscardedAnswer{}, control.CancelledAnswer{}, control.AdoptAnswer{}, control.VersionAnswer{},
		report{}, foundPlugins{}, unreadAnswers{}, writtenBody{}, store.Report{}, storeCheck{}, storeBackup{}, demoResult{}, validToken{}, failure{}, control.Error{}, completionScript{}, verdict.Verdict{}, doctor.Diagnosis{}, explain.Explanation{},
	}
}

// TestJSONKeepsToTheRule is the rule of supervisor/control/README.md: an object,
// names in snake_case, times that are left out when nobody knows them, and
// durations in nanoseconds that say so.
func TestJSONKeepsToTheRule(t *testing.T) {
	snake := regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	seen := map[reflect.Type]bool{}
	var judge func(typ reflect.Type)
	judge = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			judge(typ.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		if typ == reflect.TypeFor[time.Time]() || seen[typ] {
			return
		}
		seen[typ] = true
		for f := range typ.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !f.IsExported() || name == "-" {
				continue
			}
			if !f.Anonymous && !snake.MatchString(name) {
				t.Errorf("%s.%s is called %q", typ, f.Name, name)
			}
			if (f.Type == reflect.TypeFor[time.Duration]()) != strings.HasSuffix(name, "_ns") {
				t.Errorf("%s.%s is a %s and called %q", typ, f.Name, f.Type, name)
			}
			judge(f.Type)
		}
	}
	for _, v := range printed() {
		if reflect.TypeOf(v).Kind() != reflect.Struct {
			t.Errorf("%T is no object", v)
		}
		judge(reflect.TypeOf(v))
	}
	if len(seen) < 30 {
		t.Errorf("only %d types were judged", len(seen))
	}
}

// TestJSONNames compares every name in what is printed, with its type, to a
// list: a script that reads it breaks when one is renamed. -update writes it.
func TestJSONNames(t *testing.T) {
	var list strings.Builder
	seen := map[reflect.Type]bool{}
	var write func(typ reflect.Type)
	write = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[time.Time]() || seen[typ] {
			return
		}
		seen[typ] = true
		fmt.Fprintf(&list, "%s\n", typ.Name())
		var within []reflect.Type
		for _, f := range reflect.VisibleFields(typ) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.IsExported() && name != "" && name != "-" {
				fmt.Fprintf(&list, "    %s %s\n", name, inJSON(f.Type))
				within = append(within, f.Type)
			}
		}
		for _, typ := range within {
			write(typ)
		}
	}
	for _, v := range printed() {
		write(reflect.TypeOf(v))
	}
	golden(t, "json.golden", list.String())
}

// inJSON is what a script sees of a type.
func inJSON(typ reflect.Type) string {
	switch typ.Kind() {
	case reflect.Pointer:
		return inJSON(typ.Elem())
	case reflect.Slice:
		return "list of " + inJSON(typ.Elem())
	case reflect.Map:
		return "object of " + inJSON(typ.Elem())
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "string"
	case reflect.Struct:
		if typ == reflect.TypeFor[time.Time]() {
			return "time"
		}
		return typ.Name()
	default:
		return "number"
	}
}
