package queue

// InHand is how many keys are in somebody's hand.
func (q *Queue[K]) InHand() int { return len(q.InHandFor(0)) }
