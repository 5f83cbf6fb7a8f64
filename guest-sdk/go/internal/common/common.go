// Package common has what the packages worker and operation both need and nobody else.
package common

import (
	"fmt"
	"path"
	"runtime"
	"strings"
	"time"
)

// Recovered is a panic as an error with the line that it came from, which is not one of the standard library. For a
// deferred function, with what recover returned.
func Recovered(panicked any) error {
	place := ""
	callers := make([]uintptr, 64)
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers)])
	// Where the standard library is; with -trimpath there is no telling.
	library := ""
	for seen, more := false, true; more; {
		var frame runtime.Frame
		frame, more = frames.Next()
		if strings.HasPrefix(frame.Function, "runtime.") {
			seen = true
			library = strings.TrimSuffix(frame.File, "runtime/"+path.Base(frame.File))
		} else if seen && (library == "" || !strings.HasPrefix(frame.File, library)) {
			place = fmt.Sprintf(" (%s line %d, in %s)", path.Base(frame.File), frame.Line, frame.Function)
			break
		}
	}
	if err, is := panicked.(error); is {
		return fmt.Errorf("panic: %w%s", err, place)
	}
	return fmt.Errorf("panic: %v%s", panicked, place)
}

// Words is the text of an error as the host takes it. An error that panics when it is asked for its text, as many do that
// are a nil pointer, has the panic as its text.
func Words(err error) (words string) {
	defer func() {
		if panicked := recover(); panicked != nil {
			words = Valid(Recovered(panicked).Error())
		}
	}()
	return Valid(err.Error())
}

// Valid is a text as the host takes it: what is no UTF-8 in it becomes question marks.
func Valid(text string) string { return strings.ToValidUTF8(text, "?") }

// Milliseconds is a duration in whole ms, rounded up so that a short one does not become zero, which would mean the
// default.
func Milliseconds(duration time.Duration) uint32 {
	const most = 1<<32 - 1
	whole := duration / time.Millisecond
	if duration%time.Millisecond > 0 {
		whole++
	}
	return uint32(min(max(whole, 0), most))
}
