// Counts in every part of the planner, and writes the total in Finish.
package main

import (
	"fmt"
	"strconv"

	"disperse/operation"
)

var handed, taken, sum int

func init() {
	operation.Define(operation.Of[int, int]{Next: next, Run: run, Collect: collect, Finish: finish})
}

func main() {}

func next() (int, bool) {
	line, more := operation.Line()
	if !more {
		return 0, false
	}
	handed++
	n, err := strconv.Atoi(line)
	if err != nil {
		panic(err)
	}
	return n, true
}

func run(n int) (int, error) { return operation.Perform[int]("square", n) }

func collect(_ int, result int, err error) {
	if err != nil {
		panic(err)
	}
	taken++
	sum += result
}

func finish() error {
	operation.OutputLine(fmt.Appendf(nil, "%d %d %d", handed, taken, sum))
	return nil
}
