package config

import "testing"

func TestTemplates(t *testing.T) {
	const head = "accounts:\n  a: {provider: saxo, client_id: id}\nsinks:\n  s:\n    type: file\n    path: /x/f\n"
	for name, tt := range map[string]struct{ yaml, want string }{
		"good": {"    format: template\n    template: |\n      a\n      {{.AccessToken}}\n", ""},
		"wrong field, in its line": {"    format: template\n    template: |\n      a\n      {{.AcessToken}}\n",
			`x.yaml:10: sinks.s.template: there is no AcessToken in the document: it may be misspelt, or the sink may not see it; {{if has . "AcessToken"}} asks for it; see the functions and fields in the reference of the configuration`},
		"not allowed to see it": {"    format: template\n    template: \"{{.RefreshToken}}\"\n",
			`x.yaml:8:15: sinks.s.template: line 1 of the template: there is no RefreshToken in the document: it may be misspelt, or the sink may not see it; {{if has . "RefreshToken"}} asks for it; see the functions and fields in the reference of the configuration`},
		"allowed to see it": {"    include_refresh_token: true\n    format: template\n    template: \"{{.RefreshToken}}\"\n", ""},
		"none":              {"    format: template\n", "x.yaml:4:3: sinks.s.template: the sink has no template; write template: | and the text in the lines below"},
		"another format":    {"    format: env\n    template: x\n", "x.yaml:8:15: sinks.s.template: has no effect with format env; write format: template, or remove the lines"},
		"not for reading":   {"    format: raw\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := Load(Source{Sinks: TestSinks, Bytes: []byte(head + tt.yaml), Name: "x.yaml", Dir: t.TempDir(), CheckTemplate: checkTemplate,
				Environ: func() []string { return []string{"STATE_DIRECTORY=/s"} }})
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tt.want)
			}
		})
	}
}
