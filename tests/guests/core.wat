;; A core module, which knows nothing of components.
(module
  (memory (export "memory") 1)
  (func (export "handle") (param i32 i32 i32 i32) (result i32) (i32.const 16))
)
