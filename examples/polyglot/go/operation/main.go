// Which number of each range has the longest way to 1.
package main

import (
	"fmt"

	"disperse/operation"
)

func init() {
	operation.Define(operation.Of[string, string]{Next: operation.Line, Run: run})
}

func run(line string) (string, error) {
	var from, to int
	if _, err := fmt.Sscanf(line, "%d %d", &from, &to); err != nil {
		return "", err
	}
	numbers := []int{}
	for n := from; n <= to; n++ {
		numbers = append(numbers, n)
	}
	steps, err := operation.Values(operation.PerformAll[int]("steps", numbers))
	longest, most := from, 0
	for i, count := range steps {
		if count > most {
			longest, most = numbers[i], count
		}
	}
	return fmt.Sprintf("%d-%d: %d takes %d steps", from, to, longest, most), err
}

func main() {}
