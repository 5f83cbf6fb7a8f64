;; A worker whose `handle` is filled in by the test. The body can use $kind, $kind-len, $payload and $len, and returns the
;; address of a result, which $answer and $refuse write.
(component
  (import "disperse:guest/types@0.1.0" (instance $types
    (type $bytes (list u8))
    (type $an-action (record (field "kind" string) (field "payload" $bytes)))
    (export "action" (type (eq $an-action)))
    (type $a-failure (variant
      (case "retryable" string) (case "permanent" string) (case "busy" u32) (case "unfit" string)))
    (export "failure" (type (eq $a-failure)))
  ))
  (alias export $types "action" (type $types-action))
  (import "action" (type $action (eq $types-action)))
  (alias export $types "failure" (type $types-failure))
  (import "failure" (type $failure (eq $types-failure)))

  (core module $guest
    (memory (export "memory") 1)
    (data (i32.const 64) "it says no")
    (global $free (mut i32) (i32.const 1024))
    (global $times (mut i32) (i32.const 0))

    ;; Grows the memory up to this address.
    (func $reach (param $end i32)
      (local $missing i32)
      (local.set $missing (i32.sub
        (i32.add (i32.shr_u (local.get $end) (i32.const 16)) (i32.const 1))
        (memory.size)))
      (if (i32.gt_s (local.get $missing) (i32.const 0))
        (then (if (i32.eq (memory.grow (local.get $missing)) (i32.const -1)) (then unreachable)))))

    ;; Nothing is freed: $answer and $refuse reset the allocator.
    (func (export "cabi_realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
      (global.set $free (i32.add (local.get $at) (local.get $size)))
      (call $reach (global.get $free))
      (local.get $at))

    (func $answer (param $at i32) (param $len i32) (result i32)
      (global.set $free (i32.const 1024))
      (i32.store8 (i32.const 16) (i32.const 0))
      (i32.store (i32.const 20) (local.get $at))
      (i32.store (i32.const 24) (local.get $len))
      (i32.const 16))

    ;; 0: retryable, 1: permanent, 2: busy for 64 ms, 3: unfit.
    (func $refuse (param $case i32) (result i32)
      (global.set $free (i32.const 1024))
      (i32.store8 (i32.const 16) (i32.const 1))
      (i32.store8 (i32.const 20) (local.get $case))
      (i32.store (i32.const 24) (i32.const 64))
      (i32.store (i32.const 28) (i32.const 10))
      (i32.const 16))

    ;; Counts down; a loop takes seven units.
    (func $spin (param $times i32)
      (loop $again
        (local.set $times (i32.sub (local.get $times) (i32.const 1)))
        (br_if $again (i32.gt_s (local.get $times) (i32.const 0)))))

    (func $sink (param $depth i32) (result i32)
      (i32.add (call $sink (i32.add (local.get $depth) (i32.const 1))) (i32.const 1)))

    (func (export "handle") (param $kind i32) (param $kind-len i32) (param $payload i32) (param $len i32) (result i32)
      {HANDLE}
    )
  )
  (core instance $i (instantiate $guest))
  (alias core export $i "memory" (core memory $memory))
  (alias core export $i "cabi_realloc" (core func $realloc))
  (func $handle (param "action" $action) (result (result (list u8) (error $failure)))
    (canon lift (core func $i "handle") (memory $memory) (realloc $realloc)))
  (export "{EXPORT}" (func $handle))
)
