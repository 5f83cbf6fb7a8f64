// Package impl connects the generated exports with the functions that package worker sets.
package impl

import (
	types "disperse/internal/imports/disperse_guest_types"
	"disperse/internal/wit/runtime"
	wit "disperse/internal/wit/types"
)

// Do performs one action.
var Do func(kind string, payload []byte) ([]byte, error)

// ToFailure converts an error to the failure of the contract.
var ToFailure func(err error) types.Failure

// Handle is called by the host.
func Handle(action types.Action) wit.Result[[]uint8, types.Failure] {
	defer runtime.Enter()()
	result, err := Do(action.Kind, action.Payload)
	if err != nil {
		return wit.Err[[]uint8](ToFailure(err))
	}
	return wit.Ok[[]uint8, types.Failure](result)
}
