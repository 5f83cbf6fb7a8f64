// Package operation makes a component an operation, which hands out tasks whose logic requests actions.
//
//	func init() {
//		operation.Define(operation.Of[[]int, int]{Next: next, Run: run})
//	}
package operation

import (
	"bufio"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"disperse"
	"disperse/internal/common"
	_ "disperse/internal/exports/operation"
	"disperse/internal/exports/operation/impl"
	host "disperse/internal/imports/disperse_guest_host"
	output "disperse/internal/imports/disperse_guest_output"
	types "disperse/internal/imports/disperse_guest_types"
	witRuntime "disperse/internal/wit/runtime"
	wit "disperse/internal/wit/types"
)

// OpenMax is how many actions of a task may be in flight; one more waits.
const OpenMax = 1024

const outputChunkBytes = 1 << 20

const kindBytesMax = 256

// The most that one call passes to the host: it copies no more than 16 MiB for a call, its own data of each action included.
const (
	callBytesMax    = 4 << 20
	actionBytesSelf = 64
)

// Of is the definition of an operation. Next and Run are required.
//
// One long-lived instance of the component is the planner: Next, Collect and Finish run in it. Each Run has an instance
// of its own.
type Of[Task, Result any] struct {
	// Next hands out one more task, or returns false if there is none now. It is called only while more tasks may be in
	// flight, and again after each Collect.
	Next func() (Task, bool)
	// Run is the logic of one task. An error ends this task and not the run.
	Run func(Task) (Result, error)
	// Collect takes the end of one task. Unless set, a result becomes a line of the output and an error one of the log.
	Collect func(Task, Result, error)
	// Finish comes last. An error is the run's error.
	Finish func() error
}

// taskError is the text of a task's error.
type taskError string

func (e taskError) Error() string { return string(e) }

// Define registers the operation. Call it in an init function.
func Define[Task, Result any](parts Of[Task, Result]) {
	impl.DoNext = func() ([]byte, bool) {
		task, more := parts.Next()
		if !more {
			return nil, false
		}
		payload, err := disperse.Encode(task)
		if err != nil {
			panic("a task cannot be encoded: " + err.Error())
		}
		return payload, true
	}
	impl.DoRun = func(payload []byte) (result []byte, err error) {
		defer func() {
			if panicked := recover(); panicked != nil {
				err = common.Recovered(panicked)
			}
		}()
		task, err := disperse.Decode[Task](payload)
		if err != nil {
			return nil, err
		}
		value, err := parts.Run(task)
		if err != nil {
			return nil, err
		}
		return disperse.Encode(value)
	}
	impl.DoCollect = func(payload, result []byte, why *string) {
		if parts.Collect == nil {
			if why != nil {
				disperse.Error("a task failed: %s", *why)
			} else {
				OutputLine(result)
			}
			return
		}
		task, err := disperse.Decode[Task](payload)
		if err != nil {
			disperse.Error("a task cannot be read: %s", err)
			return
		}
		var value Result
		if why != nil {
			err = taskError(*why)
		} else {
			value, err = disperse.Decode[Result](result)
		}
		parts.Collect(task, value, err)
	}
	impl.DoFinish = func() (err error) {
		if parts.Finish == nil {
			return nil
		}
		defer func() {
			if panicked := recover(); panicked != nil {
				err = common.Recovered(panicked)
			}
		}()
		return parts.Finish()
	}
}

var input = bufio.NewReader(os.Stdin)

// Line returns the next line of the run's input, which is os.Stdin, without its end; false when there is none. It can be the
// Next of an operation whose tasks are lines.
func Line() (string, bool) {
	line, err := input.ReadString('\n')
	if err != nil && line == "" {
		return "", false
	}
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), true
}

// Reason is why an action ended without a result.
type Reason uint8

// The reasons.
const (
	Permanent  = Reason(types.Reason_Permanent)
	Exhausted  = Reason(types.Reason_Exhausted)
	Poison     = Reason(types.Reason_Poison)
	Unroutable = Reason(types.Reason_Unroutable)
	Cancelled  = Reason(types.Reason_Cancelled)
	Deadline   = Reason(types.Reason_Deadline)
	Oversize   = Reason(types.Reason_Oversize)
)

func (r Reason) String() string {
	return [...]string{"permanent", "exhausted", "poison", "unroutable", "cancelled", "deadline", "oversize"}[r]
}

// Refusal is the error of an action that ended without a result.
type Refusal struct {
	Reason  Reason
	Message string
}

func (r *Refusal) Error() string { return r.Reason.String() + ": " + r.Message }

// Options are the options of an action. Zero always means the default.
type Options struct {
	// Priority: higher goes first.
	Priority int32
	// Timeout of one attempt; may only lower the pool's.
	Timeout time.Duration
	// Deadline is how long the action may take until it is settled.
	Deadline time.Duration
	// Fuel of one attempt in millions of units; may only lower the pool's.
	Fuel uint32
	// Attempts is how many attempts may fail.
	Attempts uint32
	// Idempotent declares that performing the action twice does no harm.
	Idempotent bool
}

func chosen(options []Options) (types.Options, bool) {
	if len(options) == 0 || options[0] == (Options{}) {
		return types.Options{}, false
	}
	o := options[0]
	return types.Options{
		Priority: o.Priority, Timeout: common.Milliseconds(o.Timeout), Deadline: common.Milliseconds(o.Deadline),
		Fuel: o.Fuel, Attempts: o.Attempts, Idempotent: o.Idempotent,
	}, true
}

// Checks the kind: one that violates the contract would end the task, and fails only the action here.
func asked(kind string, input any) (types.Action, error) {
	if len(kind) > kindBytesMax || !utf8.ValidString(kind) {
		return types.Action{}, &Refusal{Permanent, "its kind is not UTF-8 of at most 256 bytes"}
	}
	payload, err := disperse.Encode(input)
	if err != nil {
		return types.Action{}, &Refusal{Permanent, "the input of `" + kind + "` cannot be encoded: " + err.Error()}
	}
	return types.Action{Kind: kind, Payload: payload}, nil
}

type outcome = wit.Result[[]uint8, types.Refusal]

func settle[Out any](kind string, answer outcome) (Out, error) {
	if answer.IsErr() {
		var none Out
		return none, &Refusal{Reason(answer.Err().Reason), answer.Err().Message}
	}
	value, err := disperse.Decode[Out](answer.Ok())
	if err != nil {
		return value, &Refusal{Permanent, "the result of `" + kind + "` cannot be read: " + err.Error()}
	}
	return value, nil
}

// Perform requests one action and waits for its result. An error is a *Refusal. Only Run may request actions.
func Perform[Out any](kind string, input any, options ...Options) (Out, error) {
	return Submit[Out](kind, input, options...).Take()
}

// Outcome is what became of an action.
type Outcome[Out any] struct {
	Value Out
	Err   error
}

// PerformAll requests one action of this kind for each input, as many at once as may be in flight, and waits for all of
// them. The outcomes are in the order of the inputs; none if there are no inputs.
func PerformAll[Out, In any](kind string, inputs []In, options ...Options) []Outcome[Out] {
	outcomes := make([]Outcome[Out], len(inputs))
	var actions []types.Action
	var places []int
	bytes := 0
	for place, input := range inputs {
		action, err := asked(kind, input)
		if err != nil {
			outcomes[place].Err = err
			continue
		}
		actions, places = append(actions, action), append(places, place)
		bytes += actionBytesSelf + len(action.Payload)
	}
	settled := func(index int, answer outcome) {
		place := places[index]
		outcomes[place].Value, outcomes[place].Err = settle[Out](kind, answer)
	}
	if bytes > callBytesMax {
		performOneByOne(actions, options, settled)
		return outcomes
	}
	answer := witRuntime.Call(func() []outcome {
		if with, some := chosen(options); some {
			return host.PerformAllWith(actions, with)
		}
		return host.PerformAll(actions)
	})
	for index, outcome := range answer {
		settled(index, outcome)
	}
	return outcomes
}

func performOneByOne(actions []types.Action, options []Options, settled func(int, outcome)) {
	var open [OpenMax]*host.Pending
	for index := range len(actions) + OpenMax {
		place := &open[index%OpenMax]
		if *place != nil {
			settled(index-OpenMax, take(*place))
			*place = nil
		}
		if index < len(actions) {
			*place = submit(actions[index], options)
		}
	}
}

// Values returns the results of outcomes, or the first error.
func Values[Out any](outcomes []Outcome[Out]) ([]Out, error) {
	values := make([]Out, len(outcomes))
	for place, outcome := range outcomes {
		if outcome.Err != nil {
			return nil, outcome.Err
		}
		values[place] = outcome.Value
	}
	return values, nil
}

// Pending is a requested action whose result has not been taken.
type Pending[Out any] struct {
	kind  string
	inner *host.Pending
	err   error
}

// Submit requests an action and returns at once, unless OpenMax actions of this task are in flight already.
func Submit[Out any](kind string, input any, options ...Options) *Pending[Out] {
	action, err := asked(kind, input)
	if err != nil {
		return &Pending[Out]{kind, nil, err}
	}
	return &Pending[Out]{kind, submit(action, options), nil}
}

func submit(action types.Action, options []Options) *host.Pending {
	var inner *host.Pending
	if with, some := chosen(options); some {
		inner = host.SubmitWith(action, with)
	} else {
		inner = host.Submit(action)
	}
	heldBy.Lock()
	held[inner] = struct{}{}
	heldBy.Unlock()
	return inner
}

// The actions in flight. An action goes on even if no goroutine waits for it: without this map the garbage collector would
// cancel it at an arbitrary moment. The map needs a lock because its growth allocates, which may start a collection, which
// lets other goroutines run.
var (
	held   = map[*host.Pending]struct{}{}
	heldBy sync.Mutex
)

func take(inner *host.Pending) outcome {
	answer := witRuntime.Call(inner.Take)
	drop(inner)
	return answer
}

func drop(inner *host.Pending) {
	heldBy.Lock()
	delete(held, inner)
	heldBy.Unlock()
	inner.Drop()
}

// Take waits until the action is settled and returns its result, once. An error is a *Refusal.
func (p *Pending[Out]) Take() (Out, error) {
	inner := p.inner
	if inner == nil {
		var none Out
		if p.err == nil {
			return none, &Refusal{Cancelled, "the result of `" + p.kind + "` was taken already"}
		}
		return none, p.err
	}
	p.inner = nil
	return settle[Out](p.kind, take(inner))
}

// Cancel cancels the action. After Take it does nothing.
func (p *Pending[Out]) Cancel() {
	if p.inner != nil {
		drop(p.inner)
		p.inner = nil
	}
}

// WaitAny waits until at least one of these is settled, and returns the indexes of those that are, ascending. Those that
// were taken are left out; if all were, the list is empty.
func WaitAny[Out any](pendings []*Pending[Out]) []int {
	var open []*host.Pending
	var places, settled []int
	for place, pending := range pendings {
		if pending.inner != nil {
			open, places = append(open, pending.inner), append(places, place)
		} else if pending.err != nil {
			settled = append(settled, place)
		}
	}
	if len(settled) > 0 || len(open) == 0 {
		return settled
	}
	for _, index := range witRuntime.Call(func() []uint32 { return host.WaitAny(open) }) {
		settled = append(settled, places[index])
	}
	return settled
}

// Sleep waits for this long of the run's time, in whole ms, and returns the run's time since its start. time.Sleep does not
// work here.
func Sleep(duration time.Duration) time.Duration {
	return time.Duration(host.Sleep(common.Milliseconds(duration))) * time.Millisecond
}

// Output appends bytes to the run's output, exactly as they are. For Next, Collect and Finish.
func Output(bytes []byte) {
	for len(bytes) > 0 {
		part := bytes[:min(len(bytes), outputChunkBytes)]
		output.Write(part)
		bytes = bytes[len(part):]
	}
}

// OutputLine is Output with a newline after the bytes.
func OutputLine(bytes []byte) {
	Output(append(bytes[:len(bytes):len(bytes)], '\n'))
}

// Arguments are the arguments of the run, which follow --.
func Arguments() []string { return os.Args[1:] }
