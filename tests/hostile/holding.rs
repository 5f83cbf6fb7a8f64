//! No attempt lasts longer than its timeout and a second, whatever its guest does, and however much fuel it has.

use std::time::{Duration, Instant};

use super::attacks;
use crate::support::{Folder, alone, has, host};

/// The timeout of each attempt.
const TIME: Duration = Duration::from_millis(300);
/// How much longer an attempt may take, and how long the program may take to start and to stop.
const LATE_MAX: Duration = Duration::from_secs(1);
const BESIDE_MAX: Duration = Duration::from_secs(1);

#[test]
fn no_attempt_lasts_a_second_longer_than_its_time() {
    let _alone = alone();
    let mut late = Vec::new();
    for attack in attacks::all() {
        let folder = Folder::new();
        let worker = attack.component(&folder, "attack.wasm");
        // Compiled code is cached, so that only the attempt is timed.
        host(["compile", &worker]).run().exits(0);
        let args = [
            "map",
            &worker,
            "--attempts",
            "1",
            "--workers",
            "1",
            "--timeout",
            "300ms",
        ];
        let began = Instant::now();
        let ended = host(args.iter().chain(&["--fuel", "1000T"]))
            .input("a\n")
            .run()
            .exits(1);
        has("stderr", &ended.stderr, &["error: line 1"]);
        let took = began.elapsed();
        eprintln!("{took:.1?} for {}", attack.name);
        if took > TIME + LATE_MAX + BESIDE_MAX {
            late.push((attack.name, took));
        }
    }
    assert!(late.is_empty(), "these attempts were cut too late: {late:?}");
}
