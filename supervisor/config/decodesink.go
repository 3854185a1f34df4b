package config

// sink is what stands in a sink, with the keys of its type.
func (l *loader) sink(name string) Object {
	o := l.root.Down("sinks").Down(name)
	if fields := l.sinks.fieldsOf(o.Word("type")); fields != nil {
		o.fields = fields
	}
	return o
}

func decodeSink(o Object, name string) Sink {
	s := Sink{
		Name: name, Type: o.Word("type"), Accounts: o.Words("accounts"), Providers: o.Words("providers"),
		IncludeRefreshToken: o.Boolean("include_refresh_token"), MaxConcurrent: o.Number("max_concurrent"),
	}
	var traits Traits
	if t := o.l.sinks.of(s.Type); t != nil {
		s.Destination = t.Read(o)
		traits = s.Traits()
		s.Content = content(o, traits)
	}
	s.Events = events(o, traits)
	return s
}
