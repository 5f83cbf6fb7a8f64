//! Workers that fail on purpose, as their settings define, and an operation that completes nevertheless.
#![forbid(unsafe_code)]

mod mischief;

use disperse_guest::{Action, Error, Failure, Operation, Worker, arguments, attempt, export_both, perform};
use mischief::{Dice, Mischief};
use serde::{Deserialize, Serialize};

const USAGE: &str = "\
usage: disperse-host run examples/flaky -- [TASKS] [POISONED]
  TASKS      how many tasks there are (200)
  POISONED   how many of them break every worker (0)";

/// The planner: a number of tasks, the last of which may be poisoned.
struct Flaky {
    tasks: Result<(u32, u32), String>,
    next: u32,
}

impl Default for Flaky {
    fn default() -> Self {
        Self {
            tasks: parse(&arguments()),
            next: 0,
        }
    }
}

/// One step. A poisoned one panics on every worker.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Step {
    number: u32,
    poisoned: bool,
}

impl Operation for Flaky {
    type Task = Step;
    type Output = u64;

    fn next(&mut self) -> Option<Step> {
        let (tasks, poisoned) = *self.tasks.as_ref().ok()?;
        let number = self.next;
        self.next += 1;
        (number < tasks).then(|| Step {
            number,
            poisoned: number >= tasks.saturating_sub(poisoned),
        })
    }

    fn run(step: Step) -> Result<u64, Error> {
        Ok(perform("step", step)?)
    }

    fn finish(&mut self) -> Result<(), String> {
        self.tasks.clone().map(|_| ())
    }
}

fn parse(arguments: &[String]) -> Result<(u32, u32), String> {
    let number = |text: &String| {
        text.parse()
            .map_err(|_| format!("`{text}` is not a whole number\n{USAGE}"))
    };
    match arguments {
        [] => Ok((200, 0)),
        [tasks] => Ok((number(tasks)?, 0)),
        [tasks, poisoned] => Ok((number(tasks)?, number(poisoned)?)),
        _ => Err(format!("too many arguments\n{USAGE}")),
    }
}

/// Squares the number of a step, unless its settings make it fail.
struct Troublemaker(Result<Mischief, String>);

impl Default for Troublemaker {
    fn default() -> Self {
        Self(Mischief::from_settings(|name| std::env::var(name).ok()))
    }
}

impl Worker for Troublemaker {
    type Input = Step;
    type Output = u64;

    fn handle(&mut self, action: Action<Step>) -> Result<u64, Failure> {
        let Step { number, poisoned } = action.input;
        if poisoned {
            panic_on_purpose(&format!("step {number} is poisoned"));
        }
        let mischief = self.0.as_mut().map_err(Failure::unfit)?;
        let attempt = attempt();
        // Without the first three parts, the run's name, so that every run fails alike.
        let step = attempt.action.splitn(4, '-').last().unwrap_or_default();
        mischief.befall(&Dice::new(&attempt.worker, step, attempt.number))?;
        Ok(u64::from(number).pow(2))
    }
}

/// Traps: the host counts it as a failure and drops the instance.
pub(crate) fn panic_on_purpose(why: &str) -> ! {
    panic!("{why}, on purpose")
}

export_both!(Flaky, Troublemaker);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_steps_are_poisoned() {
        let mut planner = Flaky {
            tasks: Ok((3, 1)),
            next: 0,
        };
        let steps: Vec<_> = std::iter::from_fn(|| planner.next())
            .map(|step| step.poisoned)
            .collect();
        assert_eq!(steps, [false, false, true]);
        assert_eq!(planner.finish(), Ok(()));
    }

    #[test]
    fn invalid_arguments_end_the_run_without_a_task() {
        let mut planner = Flaky {
            tasks: parse(&["many".to_owned()]),
            next: 0,
        };
        assert_eq!(planner.next(), None);
        assert!(planner.finish().unwrap_err().contains("`many`"));
    }
}
