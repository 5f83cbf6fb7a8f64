//! The rows, with their targets. Figures that are compared are measured alternately, and the best of each counts:
//! other work of the machine can only make them worse.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Result;
use disperse_scheduler::{
    Policy,
    sim::{self, Load as Crowd},
};

use crate::{
    host::{Host, Load},
    machine, peers,
    raw::Raw,
    table::{Table, Target},
};

/// The random seed of the scheduler's workers and actions.
pub(crate) const SEED: u64 = 1;

/// The options of the command line.
pub(crate) struct Setting {
    pub(crate) quick: bool,
    pub(crate) only: Option<String>,
    pub(crate) disperse_js: Option<PathBuf>,
}

impl Setting {
    /// An amount of work.
    pub(crate) fn amount(&self, full: u32) -> u32 {
        if self.quick { (full / 10).max(1) } else { full }
    }

    /// How many rounds are measured, alternately.
    pub(crate) fn rounds(&self) -> u32 {
        if self.quick { 2 } else { 5 }
    }

    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }
}

/// Many tasks in flight, each with one action after another.
const MANY: Load<'static> = Load {
    flags: &[],
    tasks: 64,
    actions: 0,
    kind: "echo",
    number: 0,
    is_recorded: false,
};

/// Measures all selected rows.
pub(crate) fn measure(host: &Host, setting: &Setting, table: &mut Table) -> Result<()> {
    let bench = Bench {
        host,
        raw: Raw::new(host.guest())?,
        setting,
    };
    type Measure<'a> = fn(&Bench<'a>, &mut Table) -> Result<()>;
    let rows: [(&str, Measure<'_>); 9] = [
        ("warm action", Bench::warm),
        ("one task after another", Bench::lone),
        ("journal", Bench::journal),
        ("10,000 tasks of 10 actions", Bench::short_tasks),
        ("fresh instance", Bench::fresh),
        ("CPU-bound", Bench::computing),
        ("start to first result", Bench::start),
        ("a million waiting", Bench::waiting),
        ("scheduler alone", Bench::scheduler),
    ];
    for (name, row) in rows {
        if setting.wants(name) {
            row(&bench, table)?;
        }
    }
    if setting.wants("disperse.js") {
        peers::disperse_js(host, setting, table)?;
    }
    Ok(())
}

struct Bench<'a> {
    host: &'a Host,
    raw: Raw,
    setting: &'a Setting,
}

/// Measures several things alternately and returns the least of each.
pub(crate) fn best<const N: usize>(rounds: u32, mut things: [&mut dyn FnMut() -> Result<f64>; N]) -> Result<[f64; N]> {
    let mut best = [f64::INFINITY; N];
    for _ in 0..rounds {
        for (best, thing) in best.iter_mut().zip(&mut things) {
            *best = best.min(thing()?);
        }
    }
    Ok(best)
}

impl Bench<'_> {
    fn us(&self, flags: &[&str], load: Load<'_>) -> Result<f64> {
        Ok(self.host.run(Load { flags, ..load })?.us())
    }

    /// Measures raw `perform` and raw `handle`: the cost of an action without a host.
    fn raw_sum(&self) -> Result<f64> {
        let calls = self.setting.amount(200_000);
        Ok(self.raw.perform(calls)? + self.raw.warm("echo", 0, calls)?)
    }

    fn warm(&self, table: &mut Table) -> Result<()> {
        let load = Load {
            actions: self.setting.amount(10_000),
            ..MANY
        };
        let flags = |threads| ["--workers", "8", "--tasks", "64", "--threads", threads];
        let [raw, one, two] = best(
            self.setting.rounds(),
            [&mut || self.raw_sum(), &mut || self.us(&flags("1"), load), &mut || {
                self.us(&flags("2"), load)
            }],
        )?;
        table.add(
            "warm action, one thread",
            format!("{one:.2} us"),
            format!("raw perform + handle {raw:.2} us"),
            one / raw,
            Target::AtMost(2.0),
        );
        table.add(
            "warm action, two threads",
            format!("{:.0} /s", 1e6 / two),
            format!("one thread {:.0} /s", 1e6 / one),
            one / two,
            Target::AtLeast(1.2),
        );
        Ok(())
    }

    fn lone(&self, table: &mut Table) -> Result<()> {
        let load = Load {
            tasks: 1,
            actions: self.setting.amount(100_000),
            ..MANY
        };
        let [raw, wake_ups, lone] = best(
            self.setting.rounds(),
            [
                &mut || self.raw_sum(),
                &mut || Ok(machine::two_wake_ups(self.setting.amount(20_000))),
                &mut || self.us(&["--workers", "1"], load),
            ],
        )?;
        table.add(
            "one task after another",
            format!("{lone:.2} us"),
            format!("2.5 x raw {raw:.2} us + two wake-ups {wake_ups:.2} us"),
            lone / (2.5 * raw + wake_ups),
            Target::AtMost(1.0),
        );
        Ok(())
    }

    fn journal(&self, table: &mut Table) -> Result<()> {
        let flags = ["--workers", "8", "--tasks", "64", "--threads", "2"];
        let load = Load {
            actions: self.setting.amount(20_000),
            ..MANY
        };
        let recorded = |kind| Load {
            kind,
            is_recorded: true,
            ..load
        };
        let alone = Load {
            tasks: 1,
            actions: self.setting.amount(10_000),
            ..recorded("echo")
        };
        let [off, repeatable, waiting, sync, lone] = best(
            self.setting.rounds(),
            [
                &mut || self.us(&flags, load),
                &mut || self.us(&flags, recorded("again")),
                &mut || self.us(&flags, recorded("echo")),
                &mut || machine::sync(self.setting.amount(2_000)),
                &mut || self.us(&["--workers", "1"], alone),
            ],
        )?;
        let without = format!("without a journal {:.0} /s", 1e6 / off);
        table.add(
            "journal, idempotent actions",
            format!("{:.0} /s", 1e6 / repeatable),
            without.clone(),
            off / repeatable,
            Target::AtLeast(0.5),
        );
        // As many as wait for two syncs: told, because the disk decides.
        table.add(
            "journal, actions that wait for it",
            format!("{:.0} /s", 1e6 / waiting),
            without,
            off / waiting,
            Target::Told,
        );
        table.add(
            "journal, one task after another",
            format!("{lone:.0} us"),
            format!("two syncs of {sync:.0} us each and 50 us"),
            lone / (2.0 * sync + 50.0),
            Target::AtMost(1.0),
        );
        Ok(())
    }

    fn short_tasks(&self, table: &mut Table) -> Result<()> {
        let load = Load {
            tasks: self.setting.amount(10_000),
            actions: 10,
            ..MANY
        };
        let [raw, short] = best(
            self.setting.rounds(),
            [&mut || self.raw.fresh("echo", self.setting.amount(10_000)), &mut || {
                self.us(&["--workers", "8"], load)
            }],
        )?;
        table.add(
            "10,000 tasks of 10 actions",
            format!("{short:.2} us"),
            format!("a raw fresh instance for each task {raw:.2} us"),
            short / (raw / 10.0),
            Target::Told,
        );
        Ok(())
    }

    fn fresh(&self, table: &mut Table) -> Result<()> {
        let load = Load {
            actions: self.setting.amount(1_000),
            ..MANY
        };
        let flags = ["--workers", "8", "--tasks", "64", "--threads", "1", "--fresh"];
        let [raw, fresh] = best(
            self.setting.rounds(),
            [&mut || self.raw.fresh("echo", self.setting.amount(50_000)), &mut || {
                self.us(&flags, load)
            }],
        )?;
        table.add(
            "fresh instance",
            format!("{fresh:.2} us"),
            format!("raw instance, call, drop {raw:.2} us"),
            fresh / raw,
            Target::AtMost(1.3),
        );
        Ok(())
    }

    fn computing(&self, table: &mut Table) -> Result<()> {
        for (kind, number) in [("fib", 32), ("sort", 1_000_000)] {
            let calls = self.setting.amount(40);
            let load = Load {
                tasks: 2,
                actions: calls,
                kind,
                number,
                ..MANY
            };
            let flags = |threads| ["--workers", "2", "--tasks", "2", "--threads", threads];
            let [raw, one, two] = best(
                self.setting.rounds(),
                [
                    &mut || self.raw.warm(kind, number, calls),
                    &mut || self.us(&flags("1"), load),
                    &mut || self.us(&flags("2"), load),
                ],
            )?;
            table.add(
                &format!("CPU-bound, {kind}"),
                format!("{:.2} ms", one / 1e3),
                format!("raw loop with fuel {:.2} ms", raw / 1e3),
                one / raw,
                Target::AtMost(1.15),
            );
            table.add(
                &format!("CPU-bound, {kind}, two cores"),
                format!("{:.2} ms", two / 1e3),
                format!("one core {:.2} ms", one / 1e3),
                one / two,
                Target::AtLeast(1.85),
            );
        }
        Ok(())
    }

    fn start(&self, table: &mut Table) -> Result<()> {
        // The first start fills the cache of compiled code.
        self.host.first_result()?;
        let mut starts: Vec<f64> = (0..self.setting.amount(20).max(5))
            .map(|_| self.host.first_result())
            .collect::<Result<_>>()?;
        starts.sort_by(f64::total_cmp);
        let median = starts.get(starts.len() / 2).copied().unwrap_or_default();
        let least = starts.first().copied().unwrap_or_default();
        table.add(
            "start to first result",
            format!("{median:.1} ms"),
            format!("median of {}; the fastest {least:.1} ms", starts.len()),
            median,
            Target::AtMost(50.0),
        );
        Ok(())
    }

    fn waiting(&self, table: &mut Table) -> Result<()> {
        // A task may have 1,024 requests unanswered, and an engine holds 1,000 instances.
        const EACH: u32 = 1_021;
        let tasks = self.setting.amount(980);
        let few = self.host.waiting(tasks, 1)?;
        let many = self.host.waiting(tasks, EACH)?;
        let actions = u64::from(tasks) * u64::from(EACH - 1);
        let payload = 64;
        let each = (many.saturating_sub(few) / actions).saturating_sub(payload);
        table.add(
            "a million waiting",
            format!("{each} B each"),
            format!("{} MiB with one action a task, {} MiB with all", few >> 20, many >> 20),
            each as f64,
            Target::AtMost(1024.0),
        );
        Ok(())
    }

    fn scheduler(&self, table: &mut Table) -> Result<()> {
        let crowd = Crowd {
            workers: 10_000,
            slots: 1,
            actions: self.setting.amount(1_000_000).into(),
            open_max: self.setting.amount(1_000_000).into(),
            per_task: 10,
            shortest: Duration::from_millis(50),
            failing: 0,
            seed: SEED,
        };
        let failing = Crowd {
            failing: 50,
            ..crowd.clone()
        };
        for (name, crowd) in [("scheduler alone", crowd), ("scheduler alone, 5 % fail", failing)] {
            let mut events = 0.0_f64;
            for _ in 0..2 {
                let began = Instant::now();
                let tally = sim::run(&crowd, Policy::default(), |_| {})?;
                events = events.max(tally.events as f64 / began.elapsed().as_secs_f64());
            }
            table.add(
                name,
                format!("{:.2} M events/s", events / 1e6),
                "10,000 workers, a million actions".to_owned(),
                events / 1e6,
                Target::AtLeast(1.0),
            );
        }
        Ok(())
    }
}
