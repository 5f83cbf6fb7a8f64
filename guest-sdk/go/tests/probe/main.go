// Requests actions in every way that an operation has; its own worker answers and fails in every way that a worker has.
package main

import (
	"errors"
	"fmt"
	"log"
	"math/rand"
	"os"
	"regexp"
	"runtime"
	"strings"
	"time"

	"disperse"
	"disperse/operation"
	"disperse/worker"
)

type point struct{ X, Y int }

type wordless struct{ words string }

func (w *wordless) Error() string { return w.words }

func init() {
	worker.Handle("square", square)
	worker.Handle("break", fail)
	worker.Handle("about", about)
	worker.Handle("no text", noText)
	worker.Handle("size", func(block disperse.Raw) (int, error) { return len(block), nil })
	worker.Handle("echo", func(block disperse.Raw) (disperse.Raw, error) { return block, nil })
	worker.Handle("", func(size int) (string, error) { return worker.Kind() + strings.Repeat(".", size), nil })
	operation.Define(operation.Of[string, disperse.Text]{Next: next, Run: run, Collect: collect, Finish: finish})
}

func main() {}

func square(n int64) (int64, error) {
	if n == 14 {
		return 0, disperse.Permanent("14 is never squared")
	}
	return n * n, nil
}

// Fails as a line of `disperse-host map --kind break` names it.
func fail(how disperse.Text) (disperse.Text, error) {
	switch how {
	case "error":
		return "", errors.New("an ordinary error")
	case "panic":
		panic("out of ideas")
	case "nil":
		var none *point
		none.X = 1
	case "binary":
		return "", disperse.Permanent("\xff is no text")
	case "wrapped":
		return "", fmt.Errorf("wrapped: %w", disperse.Permanent("never"))
	case "typed nil":
		var none *wordless
		return "", none
	case "sorted":
		return "", &disperse.Failure{Sort: disperse.SortPermanent}
	case "sorted panic":
		panic(disperse.Permanent("never again"))
	case "pattern":
		regexp.MustCompile("(")
	case "unfit":
		return "", disperse.Unfit("gone")
	case "exit":
		fmt.Fprintln(os.Stderr, "last words")
		os.Exit(3)
	case "deep":
		var deep func(int) int
		deep = func(n int) int { return deep(n+1) + 1 }
		deep(0)
	}
	return how, nil
}

func about(name disperse.Text) (disperse.Text, error) {
	attempt := worker.Current()
	worker.ReportQuota("", 4, time.Second)
	_, http := worker.Fetch(worker.Request{URL: "https://example.com", Headers: []worker.Header{{Name: "A", Value: "b"}}})
	_, program := worker.Program("/bin/ls", []string{"-l"}, nil, 0)
	in := attempt.Remaining > time.Millisecond
	return disperse.Text(fmt.Sprint(name, " ", attempt.Number, " ", in, " ", attempt.Worker, " / ", http, " / ", program)), nil
}

// Text that is not UTF-8 is a problem that the worker can handle.
func noText(string) (string, error) {
	const bad = "https://example.com/\xff"
	worker.ReportQuota(bad, 4, time.Second)
	_, url := worker.Fetch(worker.Request{URL: bad})
	_, header := worker.Fetch(worker.Request{URL: "https://example.com", Headers: []worker.Header{{Name: "A", Value: bad}}})
	_, program := worker.Program("/bin/ls", []string{"-l", bad}, nil, 0)
	return fmt.Sprint(url, " / ", header, " / ", program), nil
}

var tasks = strings.Fields("all any args blocks cancel forgot goroutines kinds large often panic random random refused sleep stall wide about é😀")

func next() (string, bool) {
	if len(tasks) == 0 {
		return "", false
	}
	task := tasks[0]
	tasks = tasks[1:]
	return task, true
}

var block = make(disperse.Raw, 1<<20)

func run(task string) (disperse.Text, error) {
	value, err := try(task)
	return disperse.Text(fmt.Sprint(value)), err
}

func try(task string) (any, error) {
	switch task {
	case "all":
		var numbers []int64
		for i := range int64(3000) {
			numbers = append(numbers, i+20)
		}
		squares, err := operation.Values(operation.PerformAll[int64]("square", numbers, operation.Options{Idempotent: true, Priority: -1}))
		return sum(squares), err
	case "any":
		var pendings []*operation.Pending[int64]
		for i := range 10 {
			pendings = append(pendings, operation.Submit[int64]("square", i))
		}
		pendings[9].Cancel()
		total := int64(0)
		for ready := operation.WaitAny(pendings); len(ready) > 0; ready = operation.WaitAny(pendings) {
			for _, place := range ready {
				square, err := pendings[place].Take()
				if err != nil {
					return nil, err
				}
				total += square
			}
		}
		_, err := pendings[0].Take()
		return fmt.Sprint(total, " ", err), nil
	case "args":
		log.Printf("hello %d", 1)
		return operation.Arguments(), nil
	case "blocks":
		for range 100 {
			if answer, err := operation.Perform[disperse.Raw]("echo", block); err != nil || len(answer) != len(block) {
				return nil, err
			}
		}
		return 100, nil
	case "cancel":
		pending := operation.Submit[int64]("square", 1)
		pending.Cancel()
		pending.Cancel()
		return "cancelled", nil
	case "forgot":
		operation.Submit[int64]("square", 2)
		runtime.GC()
		return operation.Perform[int64]("square", 3)
	case "goroutines":
		answers := make(chan int)
		for i := range 100 {
			go func() {
				text, _ := operation.Perform[string]("long", i*2000)
				answers <- len(text) + len(make([]byte, 100_000)) - 100_000
			}()
		}
		total := 0
		for range 100 {
			total += <-answers
		}
		return total, nil
	case "kinds":
		_, text := operation.Perform[string]("\xff", 1)
		_, long := operation.Perform[string](strings.Repeat("k", 257), 1)
		longest, _ := operation.Perform[string](strings.Repeat("k", 256), 1)
		pendings := []*operation.Pending[int]{operation.Submit[int]("square", 4), operation.Submit[int]("\xff", 1)}
		words, err := operation.Perform[string]("no text", "")
		return fmt.Sprint(text, " / ", long, " / ", len(longest), " / ", operation.WaitAny(pendings), " / ", words), err
	case "large":
		blocks := make([]disperse.Raw, 1200)
		wanted := 0
		for i := range blocks {
			blocks[i] = make(disperse.Raw, i)
			if i%50 == 0 {
				blocks[i] = block
			}
			wanted += len(blocks[i])
		}
		sizes, err := operation.Values(operation.PerformAll[int]("size", blocks))
		for i, size := range sizes {
			if size != len(blocks[i]) {
				return nil, fmt.Errorf("%d and not %d", size, len(blocks[i]))
			}
			wanted -= size
		}
		return wanted, err
	case "often":
		for i := range 1000 {
			if _, err := operation.Perform[string]("long", 100_000+i); err != nil {
				return nil, err
			}
		}
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		return fmt.Sprint("less than 20 MB: ", memory.HeapSys < 20<<20), nil
	case "panic":
		var none map[string]int
		none["a"] = 1
	case "random":
		return rand.Int63(), nil
	case "refused":
		_, err := operation.Perform[int64]("square", 14)
		var refusal *operation.Refusal
		return errors.As(err, &refusal), err
	case "sleep":
		before := time.Now()
		operation.Sleep(2500 * time.Millisecond)
		return time.Since(before).Round(time.Second / 2), nil
	case "stall":
		time.Sleep(10 * time.Millisecond)
	case "wide":
		return operation.Perform[int64]("square", int64(3037000499))
	case "about":
		return operation.Perform[disperse.Text]("about", disperse.Text("me"))
	}
	return len(task), nil
}

func sum(numbers []int64) (total int64) {
	for _, number := range numbers {
		total += number
	}
	return total
}

func collect(task string, result disperse.Text, err error) {
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		result = disperse.Text("ERR " + first)
	}
	operation.OutputLine([]byte(task + ": " + string(result)))
}

func finish() error { panic("no end") }
