// Squares a number.
package main

import "disperse/worker"

func init() {
	worker.Handle("", func(n int) (int, error) { return n * n, nil })
}

func main() {}
