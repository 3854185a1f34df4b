package machine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	idA = "0123456789abcdef0123456789abcdef"
	idB = "fedcba9876543210fedcba9876543210"
)

// TestIdentities: whatever both sides know is compared; what only one knows
// says nothing.
func TestIdentities(t *testing.T) {
	for name, c := range map[string]struct {
		named, here Facts
		same        bool
	}{
		"nothing has changed":                   {Facts{ID: idA, Product: "p", Host: "a"}, Facts{ID: idA, Product: "p", Host: "a"}, true},
		"the host was renamed":                  {Facts{ID: idA, Product: "p", Host: "a"}, Facts{ID: idA, Product: "p", Host: "b"}, true},
		"a clone with a machine id of its own":  {Facts{ID: idA, Host: "a"}, Facts{ID: idB, Host: "a"}, false},
		"a careless clone of a virtual machine": {Facts{ID: idA, Product: "p", Host: "a"}, Facts{ID: idA, Product: "q", Host: "a"}, false},
		"a new id on the same hardware":         {Facts{ID: idA, Product: "p"}, Facts{ID: idB, Product: "p"}, false},
		"only root could read the product":      {Facts{ID: idA, Product: "p"}, Facts{ID: idA}, true},
		"only root can read the product":        {Facts{ID: idA}, Facts{ID: idA, Product: "p"}, true},
		"other id, the product not readable":    {Facts{ID: idA, Product: "p"}, Facts{ID: idB}, false},
		"the id is gone":                        {Facts{ID: idA, Product: "p"}, Facts{Product: "p"}, true},
		"nothing in common but the host":        {Facts{ID: idA, Host: "a"}, Facts{Product: "p", Host: "a"}, true},
		"nothing in common, another host":       {Facts{ID: idA, Host: "a"}, Facts{Product: "p", Host: "b"}, false},
		"nothing but hosts":                     {Facts{Host: "pod-0"}, Facts{Host: "pod-1"}, false},
	} {
		if got := NewName(c.named).Is(c.here); got != c.same {
			t.Errorf("%s: the same machine: %v, want %v", name, got, c.same)
		}
	}
}

// TestNameHoldsNoFact: backups travel, and what names the machine in them tells
// nothing of it, nor that two stores are of one machine.
func TestNameHoldsNoFact(t *testing.T) {
	f := Facts{ID: idA, Product: "4c4c4544-0000", Host: "vm"}
	a, b := NewName(f), NewName(f)
	if a.ID == b.ID || a.Product == b.Product || strings.Contains(a.ID+a.Product+a.String(), idA) {
		t.Errorf("%+v and %+v", a, b)
	}
	clone := a.Here(Facts{ID: idA, Product: "other", Host: "vm"})
	if a.String() == clone.String() {
		t.Errorf("people can't tell %s from its clone", a)
	}
	if learnt := NewName(Facts{ID: idA}); learnt.Learn(f).Is(Facts{ID: idA, Product: "other"}) {
		t.Error("what root could read was not learnt")
	}
}

func TestFound(t *testing.T) {
	a, b, c := Facts{ID: idA, Host: "a"}, Facts{ID: idB, Host: "b"}, Facts{ID: strings.Repeat("0", 32), Host: "c"}
	first := Owner{}.Found(a)
	if first.Stranger != nil || !first.Name.Is(a) {
		t.Fatalf("a store without a name became %+v", first)
	}
	moved := first.Found(b)
	if moved.Stranger == nil || !moved.Name.Is(a) || !moved.Stranger.Name.Is(b) {
		t.Fatalf("on another machine it became %+v", moved)
	}
	if again := moved.Found(b); again.Stranger != moved.Stranger {
		t.Error("the second start there forgot who logged in")
	}
	if third := moved.Found(c); third.Stranger == nil || !third.Stranger.Name.Is(c) || !third.Name.Is(a) {
		t.Errorf("on a third machine it became %+v", third)
	}
	if back := moved.Found(a); back.Stranger != nil || !back.Name.Is(a) {
		t.Errorf("back on its own it became %+v", back)
	}
}

func TestGuarded(t *testing.T) {
	for name, c := range map[string]struct {
		word  string
		facts Facts
		want  bool
	}{
		"a machine":                        {Auto, Facts{ID: idA}, true},
		"a container":                      {Auto, Facts{ID: idA, Contained: "/.dockerenv"}, false},
		"no id":                            {Auto, Facts{Product: "p"}, false},
		"a container, asked for":           {On, Facts{Contained: "$container"}, true},
		"a machine, asked not to look":     {Off, Facts{ID: idA}, false},
		"a container, asked not to look":   {Off, Facts{Contained: "x"}, false},
		"no id, asked for it all the same": {On, Facts{Host: "pod-0"}, true},
	} {
		got, why := Guarded(c.word, c.facts)
		if got != c.want || (why == "") != got {
			t.Errorf("%s: %v (%q), want %v", name, got, why, c.want)
		}
	}
}

func TestRead(t *testing.T) {
	root := t.TempDir()
	write := func(path, text string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	none := func(string) string { return "" }
	if f := readAt(root, none); f.ID != "" || f.Product != "" || f.Contained != "" {
		t.Errorf("of nothing: %+v", f)
	}
	write("etc/machine-id", "uninitialized\n")
	if f := readAt(root, none); f.ID != "" {
		t.Errorf("before the first boot: %+v", f)
	}
	write("etc/machine-id", idA+"\n")
	write("sys/class/dmi/id/product_uuid", "4C4C4544-AB\n")
	if f := readAt(root, none); f.ID != idA || f.Product != "4c4c4544-ab" || f.Contained != "" {
		t.Errorf("of a machine: %+v", f)
	}
	if f := readAt(root, func(name string) string { return map[string]string{"KUBERNETES_SERVICE_HOST": "10.0.0.1"}[name] }); f.Contained == "" {
		t.Error("a pod is not noticed")
	}
	write(".dockerenv", "")
	if f := readAt(root, none); f.Contained == "" {
		t.Error("a container is not noticed")
	}
}

// A store that names its machine is that machine's in a place without an identity too,
// unless that may be the machine; one that names none is used there without a word.
func TestHere(t *testing.T) {
	vm := Facts{ID: idA, Product: "p", Host: "vm"}
	container := Facts{Product: "p", Host: "0a1b2c", Contained: "/.dockerenv"} // on the very machine
	for name, c := range map[string]struct {
		word        string
		owner, here Facts
		stranger    bool
	}{
		"a machine's, in a container on it":                {Auto, vm, container, true},
		"the same, which has an id of its image":           {Auto, vm, Facts{ID: idB, Contained: "x"}, true},
		"the same, which has got the machine's id":         {Auto, vm, Facts{ID: idA, Contained: "x"}, false},
		"the same, and nobody shall look":                  {Off, vm, container, false},
		"a machine's, whose id is gone":                    {Auto, vm, Facts{Product: "p", Host: "new name"}, false},
		"the same, and only the name is left":              {Auto, vm, Facts{Host: "vm"}, false},
		"a machine's, on another one without an id":        {Auto, vm, Facts{Host: "other"}, true},
		"nobody's, in a container":                         {Auto, Facts{}, container, false},
		"nobody's, without an id":                          {Auto, Facts{}, Facts{Host: "other"}, false},
		"a container's that was asked for, in another one": {Auto, Facts{Host: "pod-0"}, Facts{Host: "pod-1", Contained: "x"}, false},
		"a machine's, on another":                          {Auto, vm, Facts{ID: idB}, true},
	} {
		owner := Owner{}
		if c.owner != (Facts{}) {
			owner = owner.Found(c.owner)
		}
		here, unguarded := Here(c.word, c.here, owner)
		found := owner
		if unguarded == "" {
			found = owner.Found(here)
		}
		if (found.Stranger != nil) != c.stranger || c.stranger && (unguarded != "" || !found.Name.Is(c.owner)) {
			t.Errorf("%s: %+v, unguarded: %q", name, found, unguarded)
		}
	}

	// Containers are called otherwise each time, and are one place all the same; adopted
	// there, the store is nobody's any more, and moves freely.
	owner := Owner{}.Found(vm)
	first, _ := Here(Auto, container, owner)
	found := owner.Found(first)
	second, _ := Here(Auto, Facts{Host: "9f8e7d", Contained: "/.dockerenv"}, found)
	if again := found.Found(second); again.Stranger != found.Stranger {
		t.Error("the next container forgot who logged in in the one before")
	}
	adopted := found.Adopted(second)
	if !adopted.Name.Zero() || adopted.Stranger != nil {
		t.Errorf("adopted: %+v", adopted)
	}
	if _, unguarded := Here(Auto, container, adopted); unguarded == "" {
		t.Error("it is somebody's")
	}
	if back := found.Found(vm); back.Stranger != nil {
		t.Error("back on its machine, which was not asked")
	}
	if on := found.Adopted(Facts{Host: "pod-0"}); !on.Name.Is(Facts{Host: "pod-0"}) {
		t.Errorf("where a guard is asked for, it is its own: %+v", on)
	}
}
