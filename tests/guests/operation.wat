;; An operation with one task, whose result is its input. A test replaces the body of a function.
(component
  (core module $guest
    (memory (export "memory") 1)
    (data (i32.const 64) "a task")
    (global $free (mut i32) (i32.const 1024))
    (global $handed (mut i32) (i32.const 0))

    (func (export "cabi_realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
      (global.set $free (i32.add (local.get $at) (local.get $size)))
      (local.get $at))

    ;; A case of an option or a result that holds bytes.
    (func $say (param $case i32) (param $at i32) (param $len i32) (result i32)
      (i32.store8 (i32.const 16) (local.get $case))
      (i32.store (i32.const 20) (local.get $at))
      (i32.store (i32.const 24) (local.get $len))
      (i32.const 16))

    (func (export "next") (result i32)
      {NEXT}
      (if (global.get $handed) (then (return (call $say (i32.const 0) (i32.const 0) (i32.const 0)))))
      (global.set $handed (i32.const 1))
      (call $say (i32.const 1) (i32.const 64) (i32.const 6)))

    (func (export "run") (param $task i32) (param $len i32) (result i32)
      {RUN}
      (call $say (i32.const 0) (local.get $task) (local.get $len)))

    (func (export "collect") (param $task i32) (param $len i32) (param $case i32) (param $at i32) (param $size i32)
      {COLLECT}
    )

    (func (export "finish") (result i32)
      {FINISH}
      (call $say (i32.const 0) (i32.const 0) (i32.const 0)))
  )
  (core instance $i (instantiate $guest))
  (alias core export $i "memory" (core memory $memory))
  (alias core export $i "cabi_realloc" (core func $realloc))
  (type $bytes (list u8))
  (type $outcome (result $bytes (error string)))
  (func $next (result (option $bytes))
    (canon lift (core func $i "next") (memory $memory)))
  (func $run (param "task" $bytes) (result $outcome)
    (canon lift (core func $i "run") (memory $memory) (realloc $realloc)))
  (func $collect (param "task" $bytes) (param "outcome" $outcome)
    (canon lift (core func $i "collect") (memory $memory) (realloc $realloc)))
  (func $finish (result (result (error string)))
    (canon lift (core func $i "finish") (memory $memory)))
  (export "next" (func $next))
  (export "run" (func $run))
  (export "collect" (func $collect))
  (export "finish" (func $finish))
)
