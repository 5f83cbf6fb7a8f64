package disperse

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

type point struct{ X, Y int }

func TestPayloads(t *testing.T) {
	for _, value := range []any{Raw("\xff"), Text("a b"), 12, "é", point{1, 2}} {
		if _, err := Encode(value); err != nil {
			t.Errorf("%v: %v", value, err)
		}
	}
	payload, _ := Encode(point{1, 2})
	if read, err := Decode[point](payload); err != nil || read != (point{1, 2}) {
		t.Errorf("%v %v", read, err)
	}
	if text, _ := Decode[Text]([]byte("a b")); text != "a b" {
		t.Error(text)
	}
	if raw, _ := Decode[Raw]([]byte("\xff")); string(raw) != "\xff" {
		t.Error(raw)
	}
	if _, err := Decode[int]([]byte(`"x"`)); err == nil {
		t.Error("text is no int")
	}
	if payload, _ := Encode("<a> & b"); string(payload) != `"<a> & b"` {
		t.Error(string(payload))
	}
	if _, err := Encode(func() {}); err == nil {
		t.Error("a function has no JSON")
	}
}

func TestFailuresKeepTheirSort(t *testing.T) {
	for _, c := range []struct {
		err  error
		sort Sort
		text string
	}{
		{errors.New("e"), SortRetryable, "e"},
		{Retryable("r %d", 1), SortRetryable, "r 1"},
		{Permanent("p"), SortPermanent, "p"},
		{Busy(time.Second), SortBusy, "busy"},
		{Unfit("u"), SortUnfit, "u"},
		{fmt.Errorf("more: %w", Unfit("u")), SortUnfit, "more: u"},
		{&Failure{Sort: SortUnfit}, SortUnfit, "unfit"},
		{&Failure{}, SortRetryable, "retryable"},
	} {
		failure := AsFailure(c.err)
		if failure.Sort != c.sort || failure.Error() != c.text {
			t.Errorf("%v: %v %v", c.err, failure.Sort, failure)
		}
	}
	var none *Failure
	if failure := AsFailure(none); failure.Sort != SortRetryable {
		t.Error(failure.Sort)
	}
	if wait := AsFailure(Busy(time.Second)).Wait; wait != time.Second {
		t.Error(wait)
	}
}
