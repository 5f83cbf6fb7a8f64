package common

import (
	"errors"
	"regexp"
	"testing"
	"time"
)

func TestWordsAreUTF8(t *testing.T) {
	if words := Words(errors.New("\xff é \xe2\x82")); words != "? é ?" {
		t.Error(words)
	}
}

type wordless struct{ words string }

func (w *wordless) Error() string { return w.words }

func TestTextOfAnErrorThatPanicsIsThePanic(t *testing.T) {
	var none *wordless
	want := regexp.MustCompile(`^panic: .*nil pointer dereference \(common_test\.go line \d+, in .*\)$`)
	if words := Words(none); !want.MatchString(words) {
		t.Error(words)
	}
}

func compiles(pattern string) (err error) {
	defer func() { err = Recovered(recover()) }()
	regexp.MustCompile(pattern)
	return nil
}

func TestLineOfAPanicIsOutsideTheStandardLibrary(t *testing.T) {
	want := regexp.MustCompile(`\(common_test\.go line \d+, in disperse/internal/common\.compiles\)$`)
	if err := compiles("("); !want.MatchString(err.Error()) {
		t.Error(err)
	}
}

func panics() (err error) {
	defer func() { err = Recovered(recover()) }()
	var none *struct{ X int }
	none.X = 1
	return nil
}

func TestPanicHasItsLine(t *testing.T) {
	want := regexp.MustCompile(`^panic: .*nil pointer dereference \(common_test\.go line \d+, in disperse/internal/common\.panics\)$`)
	if err := panics(); !want.MatchString(err.Error()) {
		t.Error(err)
	}
}

func TestDurationsAreRoundedUp(t *testing.T) {
	for duration, want := range map[time.Duration]uint32{
		0: 0, 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, -time.Second: 0, 1<<63 - 1: 1<<32 - 1,
	} {
		if ms := Milliseconds(duration); ms != want {
			t.Errorf("%v: %v", duration, ms)
		}
	}
}
