//! Measures the scheduler alone: 10,000 workers, a million actions, virtual time, one thread.
//!
//! `cargo run --release -p disperse-scheduler --example throughput`
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measuring program has a clock and prints"
)]

use std::time::{Duration, Instant};

use disperse_scheduler::{
    Policy, PolicyError,
    sim::{self, Load},
};

fn main() -> Result<(), PolicyError> {
    let usual = Load {
        workers: 10_000,
        slots: 1,
        actions: 1_000_000,
        open_max: 1_000_000,
        per_task: 10,
        shortest: Duration::from_millis(50),
        failing: 0,
        seed: 1,
    };
    let rows = [
        ("all waiting at once", usual.clone()),
        (
            "20,000 open",
            Load {
                open_max: 20_000,
                ..usual.clone()
            },
        ),
        (
            "all waiting, 5 % fail",
            Load {
                failing: 50,
                ..usual.clone()
            },
        ),
        (
            "all waiting, 30 % fail",
            Load {
                failing: 300,
                ..usual.clone()
            },
        ),
        (
            "short attempts, prefetch",
            Load {
                shortest: Duration::from_micros(200),
                ..usual.clone()
            },
        ),
        (
            "100 workers of 100 slots",
            Load {
                workers: 100,
                slots: 100,
                ..usual
            },
        ),
    ];
    println!(
        "{:<26} {:>10} {:>10} {:>9} {:>9} {:>13} {:>14}",
        "load", "events", "commands", "refused", "seconds", "events/s", "bytes/waiting"
    );
    for (name, load) in rows {
        let before = resident();
        let mut full = 0;
        let begun = Instant::now();
        let tally = sim::run(&load, Policy::default(), |_| full = resident())?;
        let seconds = begun.elapsed().as_secs_f64();
        println!(
            "{name:<26} {:>10} {:>10} {:>9} {seconds:>9.3} {:>13.0} {:>14}",
            tally.events,
            tally.commands,
            tally.refused,
            tally.events as f64 / seconds,
            full.saturating_sub(before) / load.open_max
        );
    }
    Ok(())
}

/// Bytes of memory that this process has now; 0 where the system does not say.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|line| line.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}
