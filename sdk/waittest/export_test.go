package waittest

// Count is Context with another end than Most.
var Count = count
