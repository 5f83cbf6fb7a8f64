;; A command line program: a component of a world that Disperse does not define.
(component
  (core module $guest
    (func (export "run") (result i32) (i32.const 0)))
  (core instance $i (instantiate $guest))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $command (export "run" (func $run)))
  (export "wasi:cli/run@0.2.6" (instance $command))
)
