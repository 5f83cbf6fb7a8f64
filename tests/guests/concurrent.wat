;; An async worker whose `handle` is filled in by the test: it returns a code for the host, 1 to be called again at once or 2
;; and a set to wait for.
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
  (type $bytes (list u8))
  (type $outcome (result $bytes (error $failure)))
  (type $f (future u32))
  (type $s (stream u32))
  (core module $room
    (memory (export "memory") 2)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096)))
  (core instance $room (instantiate $room))
  (alias core export $room "memory" (core memory $memory))
  (alias core export $room "realloc" (core func $realloc))
  (core func $future (canon future.new $f))
  (core func $stream (canon stream.new $s))
  (core func $set (canon waitable-set.new))
  (core func $return (canon task.return (result $outcome) (memory $memory)))
  (core module $guest
    (import "room" "memory" (memory 2))
    (import "host" "future" (func $future (result i64)))
    (import "host" "stream" (func $stream (result i64)))
    (import "host" "set" (func $set (result i32)))
    ;; 0 and bytes, or 1 and a failure.
    (import "host" "return" (func $return (param i32 i32 i32 i32)))
    (func (export "handle") (param i32 i32 i32 i32) (result i32) {HANDLE})
    (func (export "again") (param i32 i32 i32) (result i32) (i32.const 1)))
  (core instance $i (instantiate $guest (with "room" (instance $room)) (with "host" (instance
    (export "future" (func $future)) (export "stream" (func $stream)) (export "set" (func $set)) (export "return" (func $return))))))
  (func $handle async (param "action" $action) (result $outcome)
    (canon lift (core func $i "handle") async (memory $memory) (realloc $realloc) (callback (core func $i "again"))))
  (export "handle" (func $handle))
)
