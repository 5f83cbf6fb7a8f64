// How many steps a number has to 1: an even one is halved, an odd one tripled and one added.
package main

import (
	"disperse"
	"disperse/worker"
)

// The largest exact whole number of some languages.
const most = 1<<53 - 1

func init() {
	worker.Handle("", steps)
}

func steps(n int) (int, error) {
	if n < 1 {
		return 0, disperse.Permanent("%d has no way to 1", n)
	}
	count := 0
	for ; n != 1; count++ {
		if n > most {
			return 0, disperse.Permanent("a number on the way is over 2^53 - 1")
		}
		if n%2 == 0 {
			n /= 2
		} else {
			n = 3*n + 1
		}
	}
	return count, nil
}

func main() {}
