// Package common is shared by the packages worker and operation, and is not for other code.
package common

import (
	"fmt"
	"path"
	"runtime"
	"strings"
	"time"
)

// Recovered converts a panic to an error with the last line outside the standard library. A deferred function calls it
// with the value of recover.
func Recovered(panicked any) error {
	place := ""
	callers := make([]uintptr, 64)
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers)])
	// The folder of the standard library; with -trimpath it is unknown.
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

// Words returns the text of an error as valid UTF-8. If the method Error panics, as it often does on a nil pointer, the
// panic is the text.
func Words(err error) (words string) {
	defer func() {
		if panicked := recover(); panicked != nil {
			words = Valid(Recovered(panicked).Error())
		}
	}()
	return Valid(err.Error())
}

// Valid returns a text with question marks in place of bytes that are not UTF-8.
func Valid(text string) string { return strings.ToValidUTF8(text, "?") }

// Milliseconds returns a duration in whole ms, rounded up so that a short one does not become zero, which would mean the
// default.
func Milliseconds(duration time.Duration) uint32 {
	const most = 1<<32 - 1
	whole := duration / time.Millisecond
	if duration%time.Millisecond > 0 {
		whole++
	}
	return uint32(min(max(whole, 0), most))
}
