//! The guest of the benchmark: an operation of TASKS tasks that request ACTIONS actions each, one after another, and a
//! worker that answers them. The arguments are `TASKS ACTIONS KIND NUMBER`.
#![forbid(unsafe_code)]

use std::time::Duration;

use disperse_guest::{
    Action, Error, Failure, Operation, Pending, Raw, Worker, arguments, export_both, perform, submit, warning,
};

/// The actions of every task.
struct Plan {
    tasks: u32,
    actions: u32,
    kind: String,
    number: u32,
}

impl Plan {
    fn read() -> Option<Self> {
        let arguments = arguments();
        let [tasks, actions, kind, number] = arguments.as_slice() else {
            return None;
        };
        Some(Self {
            tasks: tasks.parse().ok()?,
            actions: actions.parse().ok()?,
            kind: kind.clone(),
            number: number.parse().ok()?,
        })
    }
}

struct Bench {
    plan: Option<Plan>,
    handed: u32,
}

impl Default for Bench {
    fn default() -> Self {
        Self {
            plan: Plan::read(),
            handed: 0,
        }
    }
}

impl Operation for Bench {
    type Task = Raw;
    type Output = Raw;

    fn next(&mut self) -> Option<Raw> {
        let plan = self.plan.as_ref()?;
        self.handed += 1;
        // The number of actions, their kind and their input: a task reads nothing else.
        (self.handed <= plan.tasks).then(|| {
            let mut task = plan.actions.to_le_bytes().to_vec();
            task.extend_from_slice(&plan.number.to_le_bytes());
            task.extend_from_slice(plan.kind.as_bytes());
            Raw(task)
        })
    }

    fn run(task: Raw) -> Result<Raw, Error> {
        let (actions, rest) = task.0.split_first_chunk().ok_or("too short")?;
        let (number, kind) = rest.split_first_chunk().ok_or("too short")?;
        let kind = str::from_utf8(kind).map_err(|_| "the kind is not text")?;
        let (actions, number) = (u32::from_le_bytes(*actions), u32::from_le_bytes(*number));
        if kind == "pile" {
            return pile(actions, number);
        }
        let mut last = Vec::new();
        for _ in 0..actions {
            let input = Raw(payload(number));
            last = if kind == "again" {
                Action::new(kind, input).idempotent().perform::<Raw>()?.0
            } else {
                perform::<Raw>(kind, input)?.0
            };
        }
        Ok(Raw(format!("{}", last.len()).into_bytes()))
    }

    fn finish(&mut self) -> Result<(), String> {
        match self.plan {
            Some(_) => Ok(()),
            None => Err("the arguments are TASKS ACTIONS KIND NUMBER".to_owned()),
        }
    }
}

/// Requests everything at once of a worker that takes nothing, and writes a line when it has.
fn pile(actions: u32, number: u32) -> Result<Raw, Error> {
    let pile: Vec<Pending<Raw>> = (0..actions).map(|_| submit("pile", Raw(payload(number)))).collect();
    warning!("parked");
    for pending in pile {
        pending.take()?;
    }
    Ok(Raw(Vec::new()))
}

/// Returns 64 bytes that begin with a number.
fn payload(number: u32) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes.splice(..4, number.to_le_bytes());
    bytes
}

#[derive(Default)]
struct Answers;

impl Worker for Answers {
    type Input = Raw;
    type Output = Raw;

    fn handle(&mut self, action: Action<Raw>) -> Result<Raw, Failure> {
        let Action { kind, input, .. } = action;
        let number = input.0.first_chunk().map_or(0, |number| u32::from_le_bytes(*number));
        match kind.as_str() {
            "echo" | "again" => Ok(input),
            "pile" => Err(Failure::busy(Duration::from_secs(900))),
            "fib" => Ok(Raw(fib(number).to_le_bytes().to_vec())),
            "sort" => Ok(Raw(sort(number).to_le_bytes().to_vec())),
            kind => Err(Failure::permanent(format!("`{kind}` is an unknown kind"))),
        }
    }
}

/// Only calls and additions: the worst case for counting fuel.
fn fib(n: u32) -> u64 {
    if n < 2 { u64::from(n) } else { fib(n - 1) + fib(n - 2) }
}

/// Sorts this many numbers and returns the middle one: memory and branches.
fn sort(count: u32) -> u32 {
    let mut state = 1u32;
    let mut numbers: Vec<u32> = (0..count)
        .map(|_| {
            // Numerical Recipes' generator.
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state
        })
        .collect();
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}

export_both!(Bench, Answers);
