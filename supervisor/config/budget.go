package config

import (
	"fmt"
	"strconv"
	"strings"
)

// mostBudget is how many refreshes an hour may be wished for.
const mostBudget = 120

// budget reads how many refreshes an hour an account is to have: "12/h". 0: none is
// written, or not so.
func budget(refresh Object) int {
	word := refresh.Word("budget")
	if !refresh.Given("budget") || refresh.Broken("budget") {
		return 0
	}
	number, _ := strings.CutSuffix(word, "/h")
	n, err := strconv.Atoi(number)
	switch {
	case err != nil || strconv.Itoa(n)+"/h" != word:
		refresh.Reject("budget", &Fault{fmt.Sprintf("%q is no number of refreshes an hour", word), "write it like 12/h"})
		return 0
	case n < 1 || n > mostBudget:
		refresh.Reject("budget", &Fault{word + " is out of bounds", fmt.Sprintf("write 1/h to %d/h", mostBudget)})
		return 0
	}
	return n
}

func validateBudget(o Object, r Refresh) {
	if r.AcceptRisk && !o.Given("budget") {
		o.Warn(o.At("accept_risk"), "there is no budget of which it would take the risk", "write budget: 12/h beside it, or remove the line")
	}
}
