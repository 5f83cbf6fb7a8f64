// Package impl connects the generated exports with the functions that package operation sets.
package impl

import (
	"os"

	"disperse"
	"disperse/internal/common"
	"disperse/internal/wit/runtime"
	wit "disperse/internal/wit/types"
)

// The functions that package operation sets.
var (
	DoNext = func() ([]byte, bool) {
		panic("no operation.Define was called in an init function; main does not run")
	}
	DoRun     func(task []byte) ([]byte, error)
	DoCollect func(task, result []byte, why *string)
	DoFinish  func() error
)

// Logs a panic of the planner, which ends the run. The Go runtime would read the clock before it prints the panic, which
// the host does not allow.
func planned() {
	if panicked := recover(); panicked != nil {
		disperse.Error("%s", common.Words(common.Recovered(panicked)))
		os.Exit(2)
	}
}

// Next is called by the host.
func Next() wit.Option[[]uint8] {
	defer runtime.Enter()()
	defer planned()
	if task, more := DoNext(); more {
		return wit.Some([]uint8(task))
	}
	return wit.None[[]uint8]()
}

// Run is called by the host.
func Run(task []uint8) wit.Result[[]uint8, string] {
	defer runtime.Enter()()
	result, err := DoRun(task)
	if err != nil {
		return wit.Err[[]uint8](common.Words(err))
	}
	return wit.Ok[[]uint8, string](result)
}

// Collect is called by the host.
func Collect(task []uint8, outcome wit.Result[[]uint8, string]) {
	defer runtime.Enter()()
	defer planned()
	if outcome.IsErr() {
		why := outcome.Err()
		DoCollect(task, nil, &why)
		return
	}
	DoCollect(task, outcome.Ok(), nil)
}

// Finish is called by the host.
func Finish() wit.Result[wit.Unit, string] {
	defer runtime.Enter()()
	if err := DoFinish(); err != nil {
		return wit.Err[wit.Unit](common.Words(err))
	}
	return wit.Ok[wit.Unit, string](wit.Unit{})
}
