// Package worker makes a component a worker, which performs actions.
//
//	func init() { worker.Handle("", square) }
//
//	func square(n int) (int, error) { return n * n, nil }
package worker

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"disperse"
	"disperse/internal/common"
	_ "disperse/internal/exports/worker"
	"disperse/internal/exports/worker/impl"
	"disperse/internal/imports/disperse_guest_attempt"
	"disperse/internal/imports/disperse_guest_exec"
	"disperse/internal/imports/disperse_guest_http"
	http "disperse/internal/imports/disperse_guest_http_types"
	"disperse/internal/imports/disperse_guest_quota"
	types "disperse/internal/imports/disperse_guest_types"
	witRuntime "disperse/internal/wit/runtime"
	wit "disperse/internal/wit/types"
)

var handlers = map[string]func(payload []byte) ([]byte, error){}

// Handle registers the function that performs actions of this kind; "" stands for all kinds that no other call names. Call
// it in an init function.
//
// Inputs and results are encoded as JSON, or unchanged if they are a disperse.Raw or a disperse.Text. Errors are
// retryable unless they come from disperse.Permanent, Busy or Unfit. A panic with such an error counts as it, any other is
// retryable.
func Handle[In, Out any](kind string, handle func(In) (Out, error)) {
	if handlers[kind] != nil {
		panic("there are two workers for kind `" + kind + "`")
	}
	handlers[kind] = func(payload []byte) ([]byte, error) {
		input, err := disperse.Decode[In](payload)
		if err != nil {
			return nil, disperse.Permanent("the input cannot be read: %w", err)
		}
		output, err := handle(input)
		if err != nil {
			return nil, err
		}
		result, err := disperse.Encode(output)
		if err != nil {
			return nil, disperse.Permanent("the result cannot be encoded: %w", err)
		}
		return result, nil
	}
}

var current string

// Kind returns the kind of the current action, for a function that performs several.
func Kind() string { return current }

func do(kind string, payload []byte) (result []byte, err error) {
	current = kind
	defer func() {
		if panicked := recover(); panicked != nil {
			err = common.Recovered(panicked)
		}
	}()
	handle := handlers[kind]
	if handle == nil {
		handle = handlers[""]
	}
	if len(handlers) == 0 {
		return nil, disperse.Permanent("no worker.Handle was called in an init function; main does not run")
	}
	if handle == nil {
		var known []string
		for kind := range handlers {
			known = append(known, kind)
		}
		slices.Sort(known)
		return nil, disperse.Permanent("there is no worker for `%s` here, only for %s", kind, strings.Join(known, ", "))
	}
	return handle(payload)
}

func toFailure(err error) (result types.Failure) {
	// The methods of an error are the worker's code too.
	defer func() {
		if panicked := recover(); panicked != nil {
			result = types.MakeFailureRetryable(common.Words(common.Recovered(panicked)))
		}
	}()
	failure := disperse.AsFailure(err)
	why := common.Words(failure)
	switch failure.Sort {
	case disperse.SortPermanent:
		return types.MakeFailurePermanent(why)
	case disperse.SortBusy:
		return types.MakeFailureBusy(common.Milliseconds(failure.Wait))
	case disperse.SortUnfit:
		return types.MakeFailureUnfit(why)
	default:
		return types.MakeFailureRetryable(why)
	}
}

func init() {
	impl.Do, impl.ToFailure = do, toFailure
}

// Attempt is the current attempt, as far as a worker can know it.
type Attempt struct {
	// Action names this action: the same on every attempt, another one in every run. An idempotency key.
	Action string
	// Number is which attempt of the action this is, from 1.
	Number int
	// Remaining is how long until the attempt is ended.
	Remaining time.Duration
	// Worker is the name of this worker.
	Worker string
}

// Current returns the current attempt. It and the functions below are for functions that Handle registered.
func Current() Attempt {
	info := witRuntime.Call(disperse_guest_attempt.Current)
	return Attempt{info.Action, int(info.Number), time.Duration(info.Remaining) * time.Millisecond, info.Worker}
}

// ReportQuota reports a quota window of this worker, as a server gave it: how many units are left, and in how long it starts
// again (0: unknown). An empty bucket means the worker's only one.
func ReportQuota(bucket string, remaining uint32, resets time.Duration) {
	disperse_guest_quota.Update(disperse_guest_quota.Report{
		Bucket: common.Valid(bucket), Remaining: remaining, Resets: common.Milliseconds(resets),
	})
}

// Problem is why there is no response, or why a program did not end by itself.
type Problem struct {
	// Sort is "denied", "invalid", "timeout", "unreachable", "oversize" or "failed".
	Sort    string
	Message string
}

func (p *Problem) Error() string { return p.Sort + ": " + p.Message }

// Header is one header line.
type Header struct{ Name, Value string }

// Request is an HTTP request.
type Request struct {
	// Verb is "GET" unless set.
	Verb string
	// URL is absolute, https or http.
	URL     string
	Headers []Header
	// Body is at most 8 MiB.
	Body []byte
	// Timeout is that of the attempt unless set.
	Timeout time.Duration
}

// Response is the response of a server, with any status, also 4xx and 5xx.
type Response struct {
	Status  int
	Headers []Header
	Body    []byte
}

// Header returns the first value of this header, or "".
func (r *Response) Header(name string) string {
	for _, header := range r.Headers {
		if strings.EqualFold(header.Name, name) {
			return header.Value
		}
	}
	return ""
}

// Fetch sends a request and waits for the whole response, at most 8 MiB. Redirects are followed if the operator
// grants their targets. An error is a *Problem: "denied", "invalid", "timeout", "unreachable" or "oversize".
func Fetch(request Request) (*Response, error) {
	texts := utf8.ValidString(request.Verb) && utf8.ValidString(request.URL)
	var headers []http.Header
	for _, header := range request.Headers {
		texts = texts && utf8.ValidString(header.Name) && utf8.ValidString(header.Value)
		headers = append(headers, http.Header{Name: header.Name, Value: header.Value})
	}
	if !texts {
		return nil, &Problem{"invalid", "the verb, the URL or a header is not UTF-8"}
	}
	asked := http.Request{
		Verb: request.Verb, Url: request.URL, Headers: headers, Body: request.Body, Timeout: common.Milliseconds(request.Timeout),
	}
	answer := witRuntime.Call(func() wit.Result[http.Response, http.Problem] { return disperse_guest_http.Fetch(asked) })
	if answer.IsErr() {
		problem := answer.Err()
		switch problem.Tag() {
		case http.Problem_Denied:
			return nil, &Problem{"denied", problem.Denied()}
		case http.Problem_Invalid:
			return nil, &Problem{"invalid", problem.Invalid()}
		case http.Problem_Timeout:
			return nil, &Problem{"timeout", problem.Timeout()}
		case http.Problem_Unreachable:
			return nil, &Problem{"unreachable", problem.Unreachable()}
		default:
			return nil, &Problem{"oversize", problem.Oversize()}
		}
	}
	response := &Response{Status: int(answer.Ok().Status), Body: answer.Ok().Body}
	for _, header := range answer.Ok().Headers {
		response.Headers = append(response.Headers, Header{header.Name, header.Value})
	}
	return response, nil
}

// Ended is a program that ended.
type Ended struct {
	// Code is its exit code; -1 if a signal ended it.
	Code int
	// Output is its standard output, at most as large as a result may be.
	Output []byte
	// Errors is its standard error, with the same limit.
	Errors []byte
}

// Program runs a program of the worker's machine, by its absolute path and with this standard input, to its end and
// whatever its exit code, if the operator grants it. A timeout of 0 is that of the attempt. An error is a *Problem:
// "denied", "failed", "timeout" or "oversize".
func Program(program string, arguments []string, input []byte, timeout time.Duration) (*Ended, error) {
	if !utf8.ValidString(program) || slices.ContainsFunc(arguments, func(text string) bool { return !utf8.ValidString(text) }) {
		return nil, &Problem{"failed", "the program or an argument is not UTF-8"}
	}
	asked := disperse_guest_exec.Command{
		Program: program, Arguments: arguments, Input: input, Timeout: common.Milliseconds(timeout),
	}
	answer := witRuntime.Call(func() wit.Result[disperse_guest_exec.Ended, disperse_guest_exec.Problem] {
		return disperse_guest_exec.Run(asked)
	})
	if answer.IsErr() {
		problem := answer.Err()
		switch problem.Tag() {
		case disperse_guest_exec.Problem_Denied:
			return nil, &Problem{"denied", problem.Denied()}
		case disperse_guest_exec.Problem_Failed:
			return nil, &Problem{"failed", problem.Failed()}
		case disperse_guest_exec.Problem_Timeout:
			return nil, &Problem{"timeout", problem.Timeout()}
		default:
			return nil, &Problem{"oversize", problem.Oversize()}
		}
	}
	ended := answer.Ok()
	code := -1
	if ended.Code.IsSome() {
		code = int(ended.Code.Some())
	}
	return &Ended{code, ended.Output, ended.Errors}, nil
}
