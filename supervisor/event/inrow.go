package event

import "fmt"

// InRow says how many failures there were, and from which on they are an alert.
func InRow(failures, most int) string {
	text := "once"
	if failures > 1 {
		text = fmt.Sprintf("%d in a row", failures)
	}
	return text + ", alert from the " + ordinal(most)
}

func ordinal(n int) string {
	ending := "th"
	if teen := n/10%10 == 1; !teen {
		switch n % 10 {
		case 1:
			ending = "st"
		case 2:
			ending = "nd"
		case 3:
			ending = "rd"
		}
	}
	return fmt.Sprint(n, ending)
}
