;; A worker of two components: one with a function that takes a {TYPE} and ignores it, and one that has the
;; imports and exports of a worker and calls the first. Wasmtime copies, and transcodes, the values passed between them.
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
  (component $Taker
    (core module $taker
      (memory (export "memory") 400)
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8))
      (func (export "take") (param i32 i32)))
    (core instance $i (instantiate $taker))
    (func (export "take") (param "it" {TYPE})
      (canon lift (core func $i "take") (memory (core memory $i "memory")) (realloc (core func $i "realloc")) string-encoding={TO})))
  (instance $taker (instantiate $Taker))
  (component $Giver
    (type $bytes (list u8))
    (type $an-action (record (field "kind" string) (field "payload" $bytes)))
    (import "action" (type $action (eq $an-action)))
    (type $a-failure (variant
      (case "retryable" string) (case "permanent" string) (case "busy" u32) (case "unfit" string)))
    (import "failure" (type $failure (eq $a-failure)))
    (import "take" (func $take (param "it" {TYPE})))
    (core module $room
      (memory (export "memory") 400)
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
    (core instance $room (instantiate $room))
    (alias core export $room "memory" (core memory $memory))
    (alias core export $room "realloc" (core func $realloc))
    (core func $take (canon lower (func $take) (memory $memory) string-encoding={FROM}))
    (core module $guest
      (import "room" "memory" (memory 400))
      (import "host" "take" (func $take (param i32 i32)))
      (func (export "handle") (param i32 i32 i32 i32) (result i32)
        (loop $again (call $take (i32.const 0) (i32.const {COUNT})) (br $again)) unreachable))
    (core instance $i (instantiate $guest
      (with "room" (instance $room))
      (with "host" (instance (export "take" (func $take))))))
    (func $handle (param "action" $action) (result (result $bytes (error $failure)))
      (canon lift (core func $i "handle") (memory $memory) (realloc $realloc)))
    (export "handle" (func $handle)))
  (instance $giver (instantiate $Giver
    (with "action" (type $action))
    (with "failure" (type $failure))
    (with "take" (func $taker "take"))))
  (export "handle" (func $giver "handle"))
)
