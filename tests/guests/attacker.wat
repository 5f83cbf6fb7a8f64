;; An operation of honest tasks, each of which performs one action, and of hostile ones, which run what a test puts into `run`
;; and of which one runs at a time. The planner runs what a test puts into `next`, `collect` or `finish`, when all tasks are
;; started.
(component
  (import "disperse:guest/types@0.1.0" (instance $types
    (type $bytes (list u8))
    (type $an-action (record (field "kind" string) (field "payload" $bytes)))
    (export "action" (type (eq $an-action)))
    (type $a-reason (enum
      "permanent" "exhausted" "poison" "unroutable" "cancelled" "deadline" "oversize"))
    (export "reason" (type $reason (eq $a-reason)))
    (type $a-refusal (record (field "reason" $reason) (field "message" string)))
    (export "refusal" (type (eq $a-refusal)))
  ))
  (alias export $types "action" (type $action))
  (alias export $types "refusal" (type $refusal))
  (import "disperse:guest/host@0.1.0" (instance $host
    (alias outer 1 $action (type $a))
    (alias outer 1 $refusal (type $r))
    (export "action" (type $action (eq $a)))
    (export "refusal" (type $refusal (eq $r)))
    (export "pending" (type $pending (sub resource)))
    (type $bytes (list u8))
    (type $outcome (result $bytes (error $refusal)))
    (export "perform" (func (param "action" $action) (result $outcome)))
    (export "perform-all" (func (param "actions" (list $action)) (result (list $outcome))))
    (export "submit" (func (param "action" $action) (result (own $pending))))
    (export "[method]pending.take" (func (param "self" (borrow $pending)) (result $outcome)))
    (export "wait-any" (func (param "pendings" (list (borrow $pending))) (result (list u32))))
    (export "sleep" (func (param "duration" u32) (result u32)))))
  (alias export $host "pending" (type $pending))
  (import "disperse:guest/output@0.1.0" (instance $output
    (export "write" (func (param "bytes" (list u8))))))
  (import "disperse:guest/log@0.1.0" (instance $log
    (type $a-level (enum "debug" "info" "warning" "error"))
    (export "level" (type $level (eq $a-level)))
    (export "write" (func (param "level" $level) (param "message" string)))))
  (import "wasi:random/random@0.2.0" (instance $random
    (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))
    (export "poll" (func (param "in" (list (borrow $pollable))) (result (list u32))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (export "now" (func (result u64)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
  (import "wasi:io/error@0.2.0" (instance $error
    (export "error" (type (sub resource)))))
  (alias export $error "error" (type $error))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (export "input-stream" (type $input (sub resource)))
    (export "output-stream" (type $output (sub resource)))
    (type $an-error (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $an-error)))
    (export "[method]input-stream.subscribe" (func (param "self" (borrow $input)) (result (own $pollable))))
    (export "[method]input-stream.blocking-read"
      (func (param "self" (borrow $input)) (param "len" u64) (result (result (list u8) (error $stream-error)))))
    (export "[method]output-stream.write"
      (func (param "self" (borrow $output)) (param "contents" (list u8)) (result (result (error $stream-error)))))))
  (alias export $streams "output-stream" (type $output))
  (alias export $streams "input-stream" (type $input))
  (import "wasi:cli/stderr@0.2.0" (instance $stderr (export "get-stderr" (func (result (own $output))))))
  (import "wasi:cli/stdin@0.2.0" (instance $stdin (export "get-stdin" (func (result (own $input))))))


  (core module $room
    (memory (export "memory") 2)
    (data (i32.const 64) "hostile")
    (data (i32.const 80) "honest")
    (data (i32.const 96) "work")
    (data (i32.const 112) "on")
    (global $free (mut i32) (i32.const 4096))
    (func (export "forget") (global.set $free (i32.const 4096)))
    (func (export "realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32)
      (local $missing i32)
      (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
      (global.set $free (i32.add (local.get $at) (local.get $size)))
      (local.set $missing (i32.sub
        (i32.add (i32.shr_u (global.get $free) (i32.const 16)) (i32.const 1))
        (memory.size)))
      (if (i32.gt_s (local.get $missing) (i32.const 0))
        (then (if (i32.eq (memory.grow (local.get $missing)) (i32.const -1)) (then unreachable))))
      (local.get $at)))
  (core instance $room (instantiate $room))
  (alias core export $room "memory" (core memory $memory))
  (alias core export $room "realloc" (core func $realloc))
  (core func $perform (canon lower (func $host "perform") (memory $memory) (realloc $realloc)))
  (core func $perform-all (canon lower (func $host "perform-all") (memory $memory) (realloc $realloc)))
  (core func $submit (canon lower (func $host "submit") (memory $memory)))
  (core func $take (canon lower (func $host "[method]pending.take") (memory $memory) (realloc $realloc)))
  (core func $wait-any (canon lower (func $host "wait-any") (memory $memory) (realloc $realloc)))
  (core func $sleep (canon lower (func $host "sleep")))
  (core func $drop-pending (canon resource.drop $pending))
  (core func $write-output (canon lower (func $output "write") (memory $memory)))
  (core func $write-log (canon lower (func $log "write") (memory $memory)))
  (core func $get-random (canon lower (func $random "get-random-bytes") (memory $memory) (realloc $realloc)))
  (core func $now (canon lower (func $clock "now")))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core func $poll (canon lower (func $poll "poll") (memory $memory) (realloc $realloc)))
  (core func $get-stderr (canon lower (func $stderr "get-stderr")))
  (core func $write (canon lower (func $streams "[method]output-stream.write") (memory $memory)))
  (core func $get-stdin (canon lower (func $stdin "get-stdin")))
  (core func $read (canon lower (func $streams "[method]input-stream.blocking-read") (memory $memory) (realloc $realloc)))

  (core module $guest
    (import "room" "memory" (memory 2))
    (import "room" "forget" (func $forget))
    (import "host" "perform" (func $perform (param $kind i32) (param $kind-len i32) (param $at i32) (param $len i32) (param $to i32)))
    (import "host" "perform-all" (func $perform-all (param $at i32) (param $count i32) (param $to i32)))
    (import "host" "submit" (func $submit (param $kind i32) (param $kind-len i32) (param $at i32) (param $len i32) (result i32)))
    (import "host" "take" (func $take (param $pending i32) (param $to i32)))
    (import "host" "wait-any" (func $wait-any (param $at i32) (param $count i32) (param $to i32)))
    (import "host" "sleep" (func $sleep (param $ms i32) (result i32)))
    (import "host" "drop-pending" (func $drop-pending (param $pending i32)))
    (import "host" "output" (func $output (param $at i32) (param $len i32)))
    (import "host" "log" (func $log (param $level i32) (param $at i32) (param $len i32)))
    (import "host" "random" (func $random (param $len i64) (param $to i32)))
    (import "host" "now" (func $now (result i64)))
    (import "host" "subscribe" (func $subscribe (param $ns i64) (result i32)))
    (import "host" "block" (func $block (param $pollable i32)))
    (import "host" "poll" (func $poll (param $at i32) (param $count i32) (param $to i32)))
    (import "host" "get-stderr" (func $get-stderr (result i32)))
    (import "host" "write" (func $write (param $stream i32) (param $at i32) (param $len i32) (param $to i32)))
    (import "host" "get-stdin" (func $get-stdin (result i32)))
    (import "host" "read" (func $read (param $stream i32) (param $len i64) (param $to i32)))

    (table $table 1 funcref)
    ;; How many tasks of each kind are still to be started.
    (global $honest (mut i32) (i32.const {HONEST}))
    (global $hostile (mut i32) (i32.const {HOSTILE}))
    (global $is-out (mut i32) (i32.const 0))

    ;; Grows the memory up to this address.
    (func $reach (param $end i32)
      (local $missing i32)
      (local.set $missing (i32.sub
        (i32.add (i32.shr_u (local.get $end) (i32.const 16)) (i32.const 1))
        (memory.size)))
      (if (i32.gt_s (local.get $missing) (i32.const 0))
        (then (if (i32.eq (memory.grow (local.get $missing)) (i32.const -1)) (then unreachable)))))

    ;; A case of an option or a result that holds bytes.
    (func $say (param $case i32) (param $at i32) (param $len i32) (result i32)
      (call $forget)
      (i32.store8 (i32.const 16) (local.get $case))
      (i32.store (i32.const 20) (local.get $at))
      (i32.store (i32.const 24) (local.get $len))
      (i32.const 16))

    ;; Counts down; a loop takes seven units.
    (func $spin (param $times i32)
      (loop $again
        (local.set $times (i32.sub (local.get $times) (i32.const 1)))
        (br_if $again (i32.gt_s (local.get $times) (i32.const 0)))))

    (func $sink (param $depth i32) (result i32)
      (i32.add (call $sink (i32.add (local.get $depth) (i32.const 1))) (i32.const 1)))

    (func $is-hostile (param $task i32) (param $len i32) (result i32)
      (i32.eq (local.get $len) (i32.const 7)))

    (func (export "next") (result i32)
      (local $i i32)
      (local $stream i32)
      (if (i32.and (i32.eqz (global.get $is-out)) (i32.gt_s (global.get $hostile) (i32.const 0))) (then
        (global.set $is-out (i32.const 1))
        (global.set $hostile (i32.sub (global.get $hostile) (i32.const 1)))
        (return (call $say (i32.const 1) (i32.const 64) (i32.const 7)))))
      (if (i32.gt_s (global.get $honest) (i32.const 0)) (then
        (global.set $honest (i32.sub (global.get $honest) (i32.const 1)))
        (return (call $say (i32.const 1) (i32.const 80) (i32.const 6)))))
      {NEXT}
      (call $say (i32.const 0) (i32.const 0) (i32.const 0)))

    (func (export "run") (param $task i32) (param $len i32) (result i32)
      (local $i i32)
      (local $stream i32)
      (if (call $is-hostile (local.get $task) (local.get $len)) (then
        {RUN}
      ) (else
        (call $perform (i32.const 96) (i32.const 4) (local.get $task) (local.get $len) (i32.const 32))))
      (call $say (i32.const 0) (local.get $task) (local.get $len)))

    (func (export "collect") (param $task i32) (param $len i32) (param $case i32) (param $at i32) (param $size i32)
      (local $i i32)
      (local $stream i32)
      (if (call $is-hostile (local.get $task) (local.get $len)) (then (global.set $is-out (i32.const 0))))
      (call $forget)
      (if (i32.eqz (global.get $honest)) (then {COLLECT})))

    (func (export "finish") (result i32)
      (local $i i32)
      (local $stream i32)
      {FINISH}
      (call $say (i32.const 0) (i32.const 0) (i32.const 0)))
  )
  (core instance $i (instantiate $guest
    (with "room" (instance $room))
    (with "host" (instance
      (export "perform" (func $perform))
      (export "perform-all" (func $perform-all))
      (export "submit" (func $submit))
      (export "take" (func $take))
      (export "wait-any" (func $wait-any))
      (export "sleep" (func $sleep))
      (export "drop-pending" (func $drop-pending))
      (export "output" (func $write-output))
      (export "log" (func $write-log))
      (export "random" (func $get-random))
      (export "now" (func $now))
      (export "subscribe" (func $subscribe))
      (export "block" (func $block))
      (export "poll" (func $poll))
      (export "get-stderr" (func $get-stderr))
      (export "write" (func $write))
      (export "get-stdin" (func $get-stdin))
      (export "read" (func $read))))))
  (type $bytes (list u8))
  (type $outcome (result $bytes (error string)))
  (func $next (result (option $bytes)) (canon lift (core func $i "next") (memory $memory)))
  (func $run (param "task" $bytes) (result $outcome)
    (canon lift (core func $i "run") (memory $memory) (realloc $realloc)))
  (func $collect (param "task" $bytes) (param "outcome" $outcome)
    (canon lift (core func $i "collect") (memory $memory) (realloc $realloc)))
  (func $finish (result (result (error string))) (canon lift (core func $i "finish") (memory $memory)))
  (export "next" (func $next))
  (export "run" (func $run))
  (export "collect" (func $collect))
  (export "finish" (func $finish))
)
