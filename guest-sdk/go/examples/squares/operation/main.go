// Adds up the squares of the numbers of each line.
package main

import (
	"strings"

	"disperse"
	"disperse/operation"
)

func init() {
	operation.Define(operation.Of[string, int]{Next: operation.Line, Run: run})
}

func run(line string) (int, error) {
	numbers := []disperse.Text{}
	for _, word := range strings.Fields(line) {
		numbers = append(numbers, disperse.Text(word))
	}
	squares, err := operation.Values(operation.PerformAll[int]("square", numbers))
	sum := 0
	for _, square := range squares {
		sum += square
	}
	return sum, err
}

func main() {}
