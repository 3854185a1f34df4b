package process

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/hearsay"
)

// mostFields bounds the fields of one structured line.
const mostFields = 32

// fields cleans a structured line: its message, and what else it says, in the order
// in which people are shown it. A secret may be split over several of them.
func (o *outputLog) fields(message string, all map[string]any) (clean string, attrs []slog.Attr) {
	keys := slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(key string) bool { return strings.HasPrefix(key, "@") })
	isCut := len(keys) > mostFields
	keys = keys[:min(len(keys), mostFields)]
	texts, above := []string{message}, []string{""}
	said := map[string][]string{}
	for _, key := range keys {
		_ = eachText(all[key], func(text string) string {
			last := ""
			if n := len(said[key]); n < len(o.fieldsSaid[key]) {
				last = o.fieldsSaid[key][n]
			}
			above = append(above, last)
			said[key] = append(said[key], hearsay.End(last+"\n"+text))
			texts = append(texts, text)
			return text
		})
	}
	o.fieldsSaid = said
	raw := slices.Clone(texts)
	texts = o.secrets.CleanTogether([]string{o.said, o.ended}, texts, longestLine, above...)
	o.ended = hearsay.End(o.said + "\n" + strings.Join(raw, "\n"))
	names := o.secrets.CleanTogether(nil, keys, hearsay.Name)
	next := 1
	for i, key := range keys {
		value := eachText(all[key], func(string) string {
			next++
			return texts[next-1]
		})
		attrs = append(attrs, o.attr(names[i], value))
	}
	if isCut {
		attrs = append(attrs, slog.Bool("cut", true))
	}
	return texts[0], attrs
}

// eachText replaces the texts and numbers in a value of JSON, in a settled order. A
// number stays one unless its text is replaced.
func eachText(value any, replace func(string) string) any {
	switch v := value.(type) {
	case string:
		return replace(v)
	case float64:
		text := strconv.FormatFloat(v, 'f', -1, 64)
		if with := replace(text); with != text {
			return with
		}
	case []any:
		all := make([]any, len(v))
		for i := range v {
			all[i] = eachText(v[i], replace)
		}
		return all
	case map[string]any:
		all := make(map[string]any, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			all[key] = eachText(v[key], replace)
		}
		return all
	}
	return value
}

// attr is for a value whose texts are clean.
func (o *outputLog) attr(key string, value any) slog.Attr {
	switch v := value.(type) {
	case string:
		return slog.String(key, v)
	case bool:
		return slog.Bool(key, v)
	case float64:
		if v == float64(int64(v)) {
			return slog.Int64(key, int64(v))
		}
		return slog.Float64(key, v)
	default:
		b, err := json.Marshal(v)
		if err != nil {
			return slog.String(key, fmt.Sprintf("%T", v))
		}
		return slog.String(key, o.secrets.Clean(string(b), longestLine)) // its keys, too
	}
}
