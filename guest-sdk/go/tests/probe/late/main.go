// Registers the operation in main, which is never called.
package main

import (
	"disperse/operation"
	"disperse/worker"
)

func main() {
	worker.Handle("", func(n int) (int, error) { return n, nil })
	operation.Define(operation.Of[string, string]{
		Next: operation.Line,
		Run:  func(line string) (string, error) { return line, nil },
	})
}
