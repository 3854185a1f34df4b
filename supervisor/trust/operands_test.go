package trust

import (
	"errors"

	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

// TestOperands: which words of a command name what decides what it does.
func TestOperands(t *testing.T) {
	dir := place(t)
	for name, content := range map[string]string{
		"plugin.py": "import os\n", "plain": "words\n", "data.json": "{}", "tool": "#!/bin/sh\n", "own": "#! " + filepath.Join(dir, "plain") + " -x\n",
		"lib.js": "1\n", "bin": "\x7fELF", "empty": "", "python3": "\x7fELF", // a machine need not have one
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	must(t, errors.Join(os.Chmod(filepath.Join(dir, "bin"), 0o700), os.Mkdir(filepath.Join(dir, "folder"), 0o700), os.Symlink("python3", filepath.Join(dir, "snake")), syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600)))
	for name, c := range map[string]struct {
		command         string         // of words; @ is the folder
		plugin, onlyRun map[int]string // several of one word are parted by blanks
	}{
		"a program alone":           {command: "/bin/true"},
		"nothing":                   {},
		"a script for python":       {command: "/usr/bin/python3 @/plugin.py", plugin: map[int]string{1: "plugin.py"}, onlyRun: map[int]string{1: "plugin.py"}},
		"a relative one":            {command: "/usr/bin/python3.12 -u plugin.py", plugin: map[int]string{2: "plugin.py"}, onlyRun: map[int]string{2: "plugin.py"}},
		"one in a folder":           {command: "/usr/bin/python3 ./folder/../plugin.py", plugin: map[int]string{1: "plugin.py"}, onlyRun: map[int]string{1: "plugin.py"}},
		"one that looks like none":  {command: "/bin/sh @/plain @/data.json", plugin: map[int]string{1: "plain", 2: "data.json"}, onlyRun: map[int]string{1: "plain"}},
		"python by a link":          {command: "@/snake @/plain", plugin: map[int]string{1: "plain"}, onlyRun: map[int]string{1: "plain"}},
		"by way of env and python":  {command: "/usr/bin/env -i @/python3 @/plain @/data.json", plugin: map[int]string{2: "python3", 3: "plain", 4: "data.json"}, onlyRun: map[int]string{2: "python3", 3: "plain"}},
		"by way of timeout":         {command: "/usr/bin/timeout 5 @/tool @/data.json", plugin: map[int]string{2: "tool", 3: "data.json"}, onlyRun: map[int]string{2: "tool"}},
		"an option's file":          {command: "/usr/bin/node --require=@/lib.js @/data.json", plugin: map[int]string{1: "lib.js", 2: "data.json"}, onlyRun: map[int]string{1: "lib.js", 2: "data.json"}},
		"an option's, without =":    {command: "/usr/bin/awk -f@/plain", plugin: map[int]string{1: "plain"}, onlyRun: map[int]string{1: "plain"}},
		"what a program writes":     {command: "/bin/cp /dev/stdin @/data.json", plugin: map[int]string{2: "data.json"}},
		"what a program runs":       {command: "/opt/launch @/tool @/bin @/lib.js @/empty", plugin: map[int]string{1: "tool", 2: "bin", 3: "lib.js", 4: "empty"}, onlyRun: map[int]string{1: "tool", 2: "bin", 3: "lib.js"}},
		"a word that is no file":    {command: "/opt/launch tool plain"},
		"a text for a shell":        {command: "/bin/sh -c cat"},
		"a folder":                  {command: "/usr/bin/python3 @/folder", plugin: map[int]string{1: "folder/"}, onlyRun: map[int]string{1: "folder/"}},
		"a folder of data":          {command: "/opt/launch @/folder --out @/folder --tmpdir=@/folder"},
		"a folder, after an option": {command: "/usr/bin/python3 -u @/folder @/folder", plugin: map[int]string{2: "folder/"}, onlyRun: map[int]string{2: "folder/"}},
		"a class's":                 {command: "/usr/bin/java -cp @/folder Main @/folder", plugin: map[int]string{2: "folder/"}, onlyRun: map[int]string{2: "folder/"}},
		"a class's, at once":        {command: "/usr/bin/java Main @/folder"},
		"a class's, by way of env":  {command: "/usr/bin/env java -cp @/folder Main @/folder", plugin: map[int]string{3: "folder/"}, onlyRun: map[int]string{3: "folder/"}},
		"links that are followed":   {command: "/usr/bin/rsync -L @/folder -L @/folder"},
		"a module's links":          {command: "/usr/bin/python3 -m bot -L @/folder"},
		"a text's":                  {command: "/bin/sh -c cat sh @/folder"},
		"a module's":                {command: "/usr/bin/python3 -m bot.notify @/folder"},
		"a script's":                {command: "/bin/sh @/plain @/folder", plugin: map[int]string{1: "plain"}, onlyRun: map[int]string{1: "plain"}},
		"a variable's folders":      {command: "/usr/bin/env PYTHONPATH=/nowhere:@/folder TMPDIR=@/folder /bin/true", plugin: map[int]string{1: "folder/", 3: "/bin/true"}, onlyRun: map[int]string{1: "folder/", 3: "/bin/true"}},
		"an option's folder":        {command: "/usr/bin/perl -I @/folder -I@/folder @/plain", plugin: map[int]string{2: "folder/", 3: "folder/", 4: "plain"}, onlyRun: map[int]string{2: "folder/", 3: "folder/", 4: "plain"}},
		"a configuration's folder":  {command: "/opt/launch --config-dir @/folder --plugin-path=@/folder", plugin: map[int]string{2: "folder/", 3: "folder/"}, onlyRun: map[int]string{2: "folder/", 3: "folder/"}},
		"the program's interpreter": {command: "@/own serve", plugin: map[int]string{0: "plain"}, onlyRun: map[int]string{0: "plain"}},
		"a pipe for a shell":        {command: "/bin/sh @/pipe x", plugin: map[int]string{1: "pipe"}, onlyRun: map[int]string{1: "pipe"}},
		"one that is missing":       {command: "/bin/sh @/later x", plugin: map[int]string{1: "later"}, onlyRun: map[int]string{1: "later"}},
		"behind a wrapper's own":    {command: "/usr/bin/flock @/data.json sh @/plain", plugin: map[int]string{1: "data.json", 3: "plain"}, onlyRun: map[int]string{1: "data.json", 3: "plain"}},
		"behind a wrapper's tool":   {command: "/usr/bin/flock @/tool sh @/plain", plugin: map[int]string{1: "tool", 3: "plain"}, onlyRun: map[int]string{1: "tool", 3: "plain"}},
		"behind an option's":        {command: "/bin/bash --rcfile @/data.json @/plain @/empty", plugin: map[int]string{2: "data.json", 3: "plain", 4: "empty"}, onlyRun: map[int]string{2: "data.json", 3: "plain"}},
		"several options'":          {command: "/usr/bin/awk -f @/data.json -f @/plain", plugin: map[int]string{2: "data.json", 4: "plain"}, onlyRun: map[int]string{2: "data.json", 4: "plain"}},
		"a list":                    {command: "/usr/bin/env LD_PRELOAD=/lib/x.so:@/bin /bin/true", plugin: map[int]string{1: "bin", 2: "/bin/true"}, onlyRun: map[int]string{1: "bin", 2: "/bin/true"}},
		"a list, and no program's":  {command: "/opt/launch a:@/lib.js", plugin: map[int]string{1: "lib.js"}, onlyRun: map[int]string{1: "lib.js"}},
		"a command in one word":     {command: "/usr/bin/env -S sh_@/tool", plugin: map[int]string{2: "tool"}, onlyRun: map[int]string{2: "tool"}},
		"a text that writes":        {command: "/bin/sh -c cat_>_@/data.json", plugin: map[int]string{2: "data.json"}},
		"a device":                  {command: "/bin/sh /dev/null @/plain", plugin: map[int]string{2: "plain"}, onlyRun: map[int]string{2: "plain"}},
		"what a script is given":    {command: "/bin/sh @/plain @/data.json", plugin: map[int]string{1: "plain", 2: "data.json"}, onlyRun: map[int]string{1: "plain"}},
	} {
		t.Run(name, func(t *testing.T) {
			command := strings.Fields(strings.ReplaceAll(c.command, "@", dir))
			for i := range command {
				command[i] = strings.ReplaceAll(command[i], "_", " ")
			}
			for onlyRun, want := range map[bool]map[int]string{false: c.plugin, true: c.onlyRun} {
				whole := map[int][]string{}
				for i, paths := range want {
					for path := range strings.FieldsSeq(paths) {
						if !filepath.IsAbs(path) {
							path = dir + "/" + path
						}
						whole[i] = append(whole[i], path)
					}
				}
				if got := Operands(command, dir, onlyRun); !reflect.DeepEqual(got, whole) {
					t.Errorf("onlyRun %t: %v, want %v", onlyRun, got, whole)
				}
			}
		})
	}
	t.Run("a folder that others may add to", func(t *testing.T) {
		folder := filepath.Join(dir, "folder")
		command := []string{"/usr/bin/env", "PYTHONPATH=" + folder, "/bin/true"}
		for mode, want := range map[os.FileMode]string{0o755: "", 0o777: "can be changed by everybody", 0o777 | os.ModeSticky: "add to what is looked for"} {
			must(t, os.Chmod(folder, mode))
			if err := Here().Operands(command, dir, true, Rule{Steers: true}); (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", mode, err)
			}
		}
	})
	t.Run("one that everybody may change", func(t *testing.T) {
		command := []string{"/usr/bin/python3", filepath.Join(dir, "plugin.py")}
		if err := Here().Operands(command, dir, true, Rule{Steers: true}); err != nil {
			t.Error(err)
		}
		must(t, os.Chmod(command[1], 0o666))
		var refusal *Refusal
		if err := Here().Operands(command, dir, true, Rule{Steers: true}); !errors.As(err, &refusal) || refusal.Path != command[1] {
			t.Errorf("got %v", err)
		}
	})
}
