package format

import (
	"fmt"
	"slices"
	"strings"
)

// WithoutRefresh is existing, the content of a file that others read too, without its
// refresh token and what tells of that alone. All else stays as [Merge] keeps it, the
// access token with its times, too.
func WithoutRefresh(name string, existing []byte, o Options) ([]byte, error) {
	l, err := writable(name)
	if err != nil {
		return nil, err
	}
	old, err := parseMembers(existing)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	if l.lift != nil {
		old = l.lift(old)
	}
	left := l.withoutRefresh(old, "")
	return write(left, left, look(existing, l, o))
}

// withoutRefresh works on one level; prefix is the path to it, with a dot at its end.
func (l layout) withoutRefresh(old members, prefix string) (left members) {
	for _, m := range old {
		path := prefix + m.key
		inner, isObject := below(m.value)
		switch {
		case strings.HasPrefix(m.key, "refresh_") && slices.Contains(l.ofToken, path):
		case isObject && slices.ContainsFunc(l.ofToken, func(s string) bool { return strings.HasPrefix(s, path+".") }):
			left = append(left, member{m.key, l.withoutRefresh(inner, path+".").compact()})
		default:
			left = append(left, m)
		}
	}
	return left
}
