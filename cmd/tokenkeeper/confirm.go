package main

import (
	"bufio"
	"io"
	"os"
	"strings"
)

// asks says whether a person at a terminal can be asked.
func (e *streams) asks() bool {
	in, ok := e.stdin.(*os.File)
	return ok && !e.json && isTerminal(in) && isTerminal(e.stderr)
}

// longestAnswer is more than anybody types.
const longestAnswer = 1 << 10

// readLine reads what he answers.
func (e *streams) readLine() (string, error) {
	line, err := bufio.NewReader(io.LimitReader(e.stdin, longestAnswer)).ReadString('\n')
	if err == io.EOF {
		err = nil
	}
	return strings.TrimSpace(line), err
}
