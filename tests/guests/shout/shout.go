package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		panic(err)
	}
	if string(input) == "bad" {
		fmt.Fprintln(os.Stderr, "cannot shout `bad`")
		os.Exit(65)
	}
	if string(input) == "abort" {
		panic("giving up")
	}
	fmt.Print(strings.ToUpper(string(input)))
}
