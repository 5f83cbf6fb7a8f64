// Counts the words of a line.
package main

import (
	"strings"

	"disperse"
	"disperse/worker"
)

func init() {
	worker.Handle("", func(line disperse.Text) (int, error) { return len(strings.Fields(string(line))), nil })
}

func main() {}
