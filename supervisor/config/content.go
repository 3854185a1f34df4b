package config

import (
	"fmt"
	"slices"
)

// The names of formats that are spoken of here.
const (
	formatJSON     = "json"
	formatMessage  = "message"
	formatTemplate = "template"
)

// formats are those of supervisor/format.
func formats() []string { return []string{formatJSON, "schwab", "schwab-py", "saxo-cache"} }

// sinkFormats are those that a sink can write beside: nothing reads them back.
func sinkFormats() []string { return append(formats(), "env", formatMessage, "raw", formatTemplate) }

// jsonFormats are those that are JSON.
func jsonFormats() []string { return append(formats(), formatMessage) }

// content reads how a token is written.
func content(o Object, t Traits) Content {
	c := Content{Format: o.Word("format"), Template: o.Word("template"), Timezone: o.Word("timezone")}
	if !o.Given("format") {
		c.Format = t.Format
	}
	return c
}

func validateContent(o Object, s Sink, t Traits) {
	if o.Broken("events") {
		return
	}
	if !s.Sends(SendToken) {
		for _, key := range ContentKeys() {
			if o.Given(key) {
				o.Report(o.At(key), "has no effect on a sink that gets no tokens", "remove the line, or add token to its events")
			}
		}
		WithoutToken(o, "gets no tokens")
		return
	}
	Zone(o, "timezone", s.Content.Timezone)
	if o.Given("format") && !validateFormat(o, s.Content.Format, t) {
		return
	}
	if t.Unformatted != "" && s.Content.Format == "" {
		for _, key := range []string{"template", "timezone"} {
			if o.Given(key) {
				o.Report(o.At(key), "has no effect without a format: "+t.Unformatted,
					"write a format too, or remove the line")
			}
		}
		return
	}
	validateTemplate(o, s.Content, s.IncludeRefreshToken)
}

func validateFormat(o Object, format string, t Traits) bool {
	if t.JSONOnly.Message != "" && slices.Contains(sinkFormats(), format) && !slices.Contains(jsonFormats(), format) {
		o.Report(o.At("format"), fmt.Sprintf("%s, and %s is not JSON", t.JSONOnly.Message, format), t.JSONOnly.Hint)
		return false
	}
	return Choice(o, "format", sinkFormats()...)
}

func validateTemplate(o Object, s Content, includeRefreshToken bool) {
	switch {
	case s.Format == formatTemplate && !o.Given("template"):
		o.Report(o.At("template"), "the sink has no template", "write template: | and the text in the lines below")
	case s.Format != formatTemplate && o.Given("template"):
		o.Report(o.At("template"), fmt.Sprintf("has no effect with format %s", s.Format), "write format: template, or remove the lines")
	case s.Format == formatTemplate && !o.Broken("template") && o.l.source.CheckTemplate != nil:
		line, problem := o.l.source.CheckTemplate(s.Template, includeRefreshToken)
		if problem == "" {
			return
		}
		at, ok := o.At("template").textLine(line)
		if !ok && line > 0 {
			problem = fmt.Sprintf("line %d of the template: %s", line, problem)
		}
		o.Report(at, problem, "see the functions and fields in the reference of the configuration")
	}
}
