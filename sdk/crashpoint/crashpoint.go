// Package crashpoint names the places at which the death of a process has been
// thought about: each durable operation and each boundary between processes of
// an attempt. A program built with the tag "crashpoints" can be told to die at
// any of them; in every other build [Here] is empty and costs nothing.
package crashpoint
