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

// lineFormats are those that can be written as one JSON object in one line.
func lineFormats() []string { return append(formats(), formatMessage) }

// content reads how a token is written. Without a format it is what the type
// has always sent.
func (o Object) content(s Sink) Content {
	c := Content{Format: o.Word("format"), Template: o.Word("template"), Timezone: o.Word("timezone")}
	if o.Given("format") {
		return c
	}
	switch {
	case s.Type == SinkNotify || s.Type == SinkWebhook || s.Exec != nil && s.Exec.Signal != nil:
	case s.UnixSocket != nil && s.UnixSocket.Listen == nil:
		c.Format = formatMessage
	default:
		c.Format = formatJSON
	}
	return c
}

func (o Object) validateContent(s Sink) {
	if o.Broken("events") {
		return
	}
	if !s.Sends(SendToken) {
		for _, key := range contentKeys() {
			if o.Given(key) {
				o.Report(o.At(key), "has no effect on a sink that gets no tokens", "remove the line, or add token to its events")
			}
		}
		o.withoutToken("gets no tokens")
		return
	}
	Zone(o, "timezone", s.Content.Timezone)
	if o.Given("format") && !o.validateFormat(s) {
		return
	}
	if s.Type == SinkWebhook && s.Content.Format == "" {
		for _, key := range []string{"template", "timezone"} {
			if o.Given(key) {
				o.Report(o.At(key), "has no effect without a format: the post is then that of the Standard Webhooks specification",
					"write a format too, or remove the line")
			}
		}
		return
	}
	o.validateTemplate(s.Content, s.IncludeRefreshToken)
}

func (o Object) validateFormat(s Sink) bool {
	if s.UnixSocket != nil && s.UnixSocket.Listen != nil && slices.Contains(sinkFormats(), s.Content.Format) &&
		!slices.Contains(lineFormats(), s.Content.Format) {
		o.Report(o.At("format"), fmt.Sprintf("consumers that connect get JSON in lines, and %s is not JSON", s.Content.Format),
			"write json, or another of the formats that are JSON, or direction: dial")
		return false
	}
	return Choice(o, "format", sinkFormats()...)
}

func (o Object) validateTemplate(s Content, includeRefreshToken bool) {
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
		at := o.At("template")
		if at.literal && line > 0 {
			at.line, at.column = at.line+line, 0
		} else if line > 0 {
			problem = fmt.Sprintf("line %d of the template: %s", line, problem)
		}
		o.Report(at, problem, "see the functions and fields in the reference of the configuration")
	}
}
