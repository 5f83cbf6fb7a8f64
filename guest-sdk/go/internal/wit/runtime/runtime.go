// Package runtime is of the support library of wit-bindgen for Go 0.63 (LICENSE in the folder above), changed in two
// places: where early memory comes from, and when garbage is collected.
package runtime

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"unsafe"
)

type Handle struct {
	value int32
}

func (h *Handle) Use() int32 {
	if h.value == 0 {
		panic("nil handle")
	}
	return h.value
}

func (h *Handle) Take() int32 {
	if h.value == 0 {
		panic("nil handle")
	}
	value := h.value
	h.value = 0
	return value
}

func (h *Handle) Set(value int32) {
	if value == 0 {
		panic("nil handle")
	}
	if h.value != 0 {
		panic("handle already set")
	}
	h.value = value
}

func (h *Handle) TakeOrNil() int32 {
	value := h.value
	h.value = 0
	return value
}

func MakeHandle(value int32) *Handle {
	if value == 0 {
		panic("nil handle")
	}
	return &Handle{value}
}

func Allocate(pinner *runtime.Pinner, size, align uintptr) unsafe.Pointer {
	pointer := allocateRaw(size, align)
	pinner.Pin(pointer)
	return pointer
}

func allocateRaw(size, align uintptr) unsafe.Pointer {
	if size == 0 {
		return nil
	}

	if size%align != 0 {
		panic(fmt.Sprintf("size %v is not compatible with alignment %v", size, align))
	}

	switch align {
	case 1:
		return unsafe.Pointer(unsafe.SliceData(make([]uint8, size)))
	case 2:
		return unsafe.Pointer(unsafe.SliceData(make([]uint16, size/align)))
	case 4:
		return unsafe.Pointer(unsafe.SliceData(make([]uint32, size/align)))
	case 8:
		return unsafe.Pointer(unsafe.SliceData(make([]uint64, size/align)))
	default:
		panic(fmt.Sprintf("unsupported alignment: %v", align))
	}
}

// `cabi_realloc` is called before the Go runtime has been initialized, by the `wasi_snapshot_preview1` adapter for its own
// state and stack: two pages of 64 KiB. They come from here, so that nothing of the runtime has to be linked by name.
//
//nolint:unused
var early [192 << 10]uint8

//nolint:unused
var earlyUsed uintptr

//nolint:unused
var useGCAllocations = false

func init() {
	useGCAllocations = true
}

//nolint:unused
func offset(ptr, align uintptr) uintptr {
	newptr := (ptr + align - 1) &^ (align - 1)
	return newptr - ptr
}

var pinner = runtime.Pinner{}

func Unpin() {
	pinner.Unpin()
}

// The garbage collector may run only while Go code runs that is not in a call from or to the host. The host allocates with
// `cabi_realloc`, and a collection that ends there reads the time of day, which traps: no call of the host is allowed while
// memory is being allocated.
var collecting = -1

func init() {
	collecting = debug.SetGCPercent(-1)
}

// How many bytes the host has allocated since the last spark, and how many cause one.
var passed uintptr

const passedEnough = 1 << 20

// Makes a large allocation, with which a due collection starts. None starts while the collector is off, and code that
// receives large payloads may not allocate itself.
var spark []byte

func kindle() {
	debug.SetGCPercent(collecting)
	if passed > passedEnough {
		passed = 0
		spark = make([]byte, 64<<10)
	}
}

// Enter lets the garbage collector run, for the code of an export, until the function that it returns is called.
func Enter() func() {
	kindle()
	return func() { debug.SetGCPercent(-1) }
}

var asking sync.Mutex

// Call calls a function of the host whose answer takes memory, and unpins that memory afterwards: a task with many calls
// would keep all answers otherwise. The lock is there because turning off the garbage collector waits for a
// collection that is under way, which lets other goroutines run.
func Call[T any](ask func() T) T {
	asking.Lock()
	defer asking.Unlock()
	debug.SetGCPercent(-1)
	answer := ask()
	pinner.Unpin()
	kindle()
	return answer
}

//nolint:unused
//go:wasmimport wasi_snapshot_preview1 adapter_monotonic_clock_set_paused
func adapterMonotonicClockSetPaused(paused bool)

//nolint:unused
//go:wasmexport cabi_realloc
func cabiRealloc(oldPointer unsafe.Pointer, oldSize, align, newSize uintptr) unsafe.Pointer {
	if oldPointer != nil || oldSize != 0 {
		panic("todo")
	}

	if useGCAllocations {
		// Here we call `adapter_monotonic_clock_set_paused` before and
		// after allocating since the Go garbage collector calls
		// `clock_time_get` to measure time spent in various stages of
		// GC, but calls to imports from `cabi_realloc` are forbidden by
		// the component model, so we must tell the
		// `wasi_snapshot_preview1` adapter to use a cached value
		// instead of calling `monotonic_clock::now`.
		//
		// See https://github.com/bytecodealliance/wasmtime/pull/13563
		// for more details.
		adapterMonotonicClockSetPaused(true)
		passed += newSize
		pointer := Allocate(&pinner, newSize, align)
		adapterMonotonicClockSetPaused(false)
		return pointer
	} else {
		base := uintptr(unsafe.Pointer(&early))
		start := earlyUsed + offset(base+earlyUsed, align)
		earlyUsed = start + newSize
		if earlyUsed > uintptr(len(early)) {
			return nil
		}
		return unsafe.Pointer(&early[start])
	}
}
