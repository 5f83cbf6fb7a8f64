;; An async worker that takes many stacks and never ends: its inner components, as many as the test fills in, each wait in a
;; call to another one that never returns.
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
  (component $Never
    (core func $set (canon waitable-set.new))
    (core module $m
      (import "host" "set" (func $set (result i32)))
      (func (export "never") (result i32) (i32.or (i32.const 2) (i32.shl (call $set) (i32.const 4))))
      (func (export "again") (param i32 i32 i32) (result i32) (i32.const 0)))
    (core instance $i (instantiate $m (with "host" (instance (export "set" (func $set))))))
    (func (export "never") async (canon lift (core func $i "never") async (callback (core func $i "again")))))
  (instance $never (instantiate $Never))
  (component $Waiter
    (import "never" (func $never async))
    (core func $never (canon lower (func $never)))
    (core module $m
      (import "host" "never" (func $never))
      (func (export "wait") (result i32) (call $never) (i32.const 0))
      (func (export "again") (param i32 i32 i32) (result i32) (i32.const 0)))
    (core instance $i (instantiate $m (with "host" (instance (export "never" (func $never))))))
    (func (export "wait") async (canon lift (core func $i "wait") async (callback (core func $i "again")))))
  {WAITERS}
  (component $Caller
    (type $bytes (list u8))
    (type $an-action (record (field "kind" string) (field "payload" $bytes)))
    (import "action" (type $action (eq $an-action)))
    (type $a-failure (variant
      (case "retryable" string) (case "permanent" string) (case "busy" u32) (case "unfit" string)))
    (import "failure" (type $failure (eq $a-failure)))
    {IMPORTS}
    (type $outcome (result $bytes (error $failure)))
    (core module $room
      (memory (export "memory") 2)
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
    (core instance $room (instantiate $room))
    (alias core export $room "memory" (core memory $memory))
    (alias core export $room "realloc" (core func $realloc))
    {LOWERED}
    (core module $m
      (import "room" "memory" (memory 2))
      {CORE-IMPORTS}
      (func (export "handle") (param i32 i32 i32 i32) (result i32) {CALLS} (i32.const 1))
      (func (export "again") (param i32 i32 i32) (result i32) (i32.const 1)))
    (core instance $i (instantiate $m (with "room" (instance $room)) (with "waiters" (instance {EXPORTS}))))
    (func $handle async (param "action" $action) (result $outcome)
      (canon lift (core func $i "handle") async (memory $memory) (realloc $realloc) (callback (core func $i "again"))))
    (export "handle" (func $handle)))
  (instance $caller (instantiate $Caller (with "action" (type $action)) (with "failure" (type $failure)) {WITH}))
  (export "handle" (func $caller "handle"))
)
