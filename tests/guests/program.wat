;; A WASI 0.1 program that knows nothing of Disperse. The first byte on stdin selects what it does.
;;   x N  exits with the second byte as its exit status
;;   w    writes to stdout without end
;;   l    loops without end
;;   t    traps, after a message on stderr
;;   e    writes the rest of its input to stderr and exits with status 1
;;   v    writes its environment and its first argument to stdout
;;   else writes its input to stdout
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (memory (export "memory") 4)
  (data (i32.const 64) "last words\n")
  ;; 0: pointer and length for a call, 8: the number of bytes transferred. The input is at 1024.
  (func $say (param $to i32) (param $from i32) (param $len i32)
    (i32.store (i32.const 0) (local.get $from))
    (i32.store (i32.const 4) (local.get $len))
    (if (call $write (local.get $to) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable)))
  (func $length (param $text i32) (result i32) (local $end i32)
    (local.set $end (local.get $text))
    (loop $more
      (if (i32.load8_u (local.get $end))
        (then (local.set $end (i32.add (local.get $end) (i32.const 1))) (br $more))))
    (i32.sub (local.get $end) (local.get $text)))
  (func $is (param $letter i32) (result i32)
    (i32.eq (i32.load8_u (i32.const 1024)) (local.get $letter)))
  (func (export "_start") (local $len i32) (local $at i32)
    (block $end
      (loop $more
        (i32.store (i32.const 0) (i32.add (i32.const 1024) (local.get $len)))
        (i32.store (i32.const 4) (i32.const 32768))
        (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
        (br_if $end (i32.eqz (i32.load (i32.const 8))))
        (local.set $len (i32.add (local.get $len) (i32.load (i32.const 8))))
        (br $more)))
    (if (call $is (i32.const 0x78)) (then (call $exit (i32.load8_u (i32.const 1025)))))
    (if (call $is (i32.const 0x77))
      (then (loop $again (call $say (i32.const 1) (i32.const 1024) (i32.const 4096)) (br $again))))
    (if (call $is (i32.const 0x6c)) (then (loop $again (br $again))))
    (if (call $is (i32.const 0x74))
      (then (call $say (i32.const 2) (i32.const 64) (i32.const 11)) unreachable))
    (if (call $is (i32.const 0x65))
      (then
        (call $say (i32.const 2) (i32.const 1025) (i32.sub (local.get $len) (i32.const 1)))
        (call $exit (i32.const 1))))
    (if (call $is (i32.const 0x76))
      (then
        (if (call $sizes (i32.const 16) (i32.const 20)) (then unreachable))
        (if (call $environ (i32.const 65536) (i32.const 131072)) (then unreachable))
        (local.set $at (i32.const 131072))
        (loop $more
          (if (i32.load (i32.const 16))
            (then
              (call $say (i32.const 1) (local.get $at) (call $length (local.get $at)))
              (call $say (i32.const 1) (i32.const 32) (i32.const 1))
              (local.set $at (i32.add (i32.add (local.get $at) (call $length (local.get $at))) (i32.const 1)))
              (i32.store (i32.const 16) (i32.sub (i32.load (i32.const 16)) (i32.const 1)))
              (br $more))))
        (if (call $args (i32.const 65536) (i32.const 131072)) (then unreachable))
        (call $say (i32.const 1) (i32.load (i32.const 65536)) (call $length (i32.load (i32.const 65536))))
        (return)))
    (call $say (i32.const 1) (i32.const 1024) (local.get $len)))
  (data (i32.const 32) " ")
)
