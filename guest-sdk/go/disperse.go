// Package disperse is the common part of operations and workers written in Go: failures, payloads and the log.
//
// The package disperse/worker makes a worker, disperse/operation an operation. Both are packages main with an init
// function that registers them, built by
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o NAME.wasm
package disperse

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Raw is a payload as it is. Every other type travels as JSON.
type Raw []byte

// Text is a payload that is text without quotes: a line for disperse-host map.
type Text string

// Encode returns the payload of a value: JSON unless it is a Raw or a Text.
func Encode(value any) ([]byte, error) {
	switch value := value.(type) {
	case Raw:
		return value, nil
	case Text:
		return []byte(value), nil
	}
	plain, err := json.Marshal(value)
	if err != nil || !bytes.Contains(plain, []byte(`\u00`)) {
		return plain, err
	}
	// Its default escapes <, > and &, which no other language does and costs time to undo.
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}

// Decode returns the value of a payload. Any payload is a Raw or a Text; for other types invalid JSON is an error.
func Decode[T any](payload []byte) (T, error) {
	var value T
	switch to := any(&value).(type) {
	case *Raw:
		*to = payload
	case *Text:
		*to = Text(payload)
	default:
		if err := json.Unmarshal(payload, &value); err != nil {
			return value, fmt.Errorf("it is not the JSON expected: %w", err)
		}
	}
	return value, nil
}

// Sort is what is at fault in a Failure.
type Sort int

const (
	// SortRetryable: it may succeed later or elsewhere.
	SortRetryable Sort = iota
	// SortPermanent: the action itself is at fault.
	SortPermanent
	// SortBusy: this worker is at its limit.
	SortBusy
	// SortUnfit: this worker can do no more work.
	SortUnfit
)

func (s Sort) String() string {
	switch s {
	case SortPermanent:
		return "permanent"
	case SortBusy:
		return "busy"
	case SortUnfit:
		return "unfit"
	default:
		return "retryable"
	}
}

// Failure is the error of a worker that did not perform an action. Every other error counts as retryable.
type Failure struct {
	Sort Sort
	// The reason, for all but SortBusy. If nil, the sort is the text.
	Err error
	// How long, for SortBusy. 0: unknown.
	Wait time.Duration
}

func (f *Failure) Error() string {
	if f.Sort == SortBusy || f.Err == nil {
		return f.Sort.String()
	}
	return f.Err.Error()
}

func (f *Failure) Unwrap() error { return f.Err }

// Retryable returns an error after which the action goes to a different worker: it may succeed later or elsewhere.
func Retryable(format string, values ...any) error {
	return &Failure{Sort: SortRetryable, Err: fmt.Errorf(format, values...)}
}

// Permanent returns an error after which the action is not tried again: the action itself is at fault.
func Permanent(format string, values ...any) error {
	return &Failure{Sort: SortPermanent, Err: fmt.Errorf(format, values...)}
}

// Busy returns the error of a worker at its limit, for this long; 0: unknown. It costs no attempt.
func Busy(wait time.Duration) error { return &Failure{Sort: SortBusy, Wait: wait} }

// Unfit returns the error of a worker that can do no more work. The action goes to another one at no cost; if that can do
// it, this worker is evicted.
func Unfit(format string, values ...any) error {
	return &Failure{Sort: SortUnfit, Err: fmt.Errorf(format, values...)}
}

// AsFailure converts an error for the host: to the Failure that it wraps, with the text of the whole, or to a retryable one.
func AsFailure(err error) *Failure {
	var failure *Failure
	if errors.As(err, &failure) && failure != nil {
		if failure.Err != nil && err != error(failure) {
			return &Failure{Sort: failure.Sort, Err: err, Wait: failure.Wait}
		}
		return failure
	}
	return &Failure{Sort: SortRetryable, Err: err}
}
