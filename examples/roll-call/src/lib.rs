//! An async operation and an async worker: each task calls a class and has all of its calls open at once.
#![forbid(unsafe_code)]

use std::time::Duration;

use disperse_guest::concurrent::{perform, sleep, submit};
use disperse_guest::{Action, AsyncOperation, AsyncWorker, Error, Failure, Text, export_both_async, info};

const CLASSES: [(&str, [&str; 4]); 3] = [
    ("flowers", ["aster", "dahlia", "lily", "rose"]),
    ("rivers", ["danube", "nile", "rhine", "volga"]),
    ("stars", ["altair", "rigel", "sirius", "vega"]),
];

#[derive(Default)]
struct RollCall {
    next: usize,
}

impl AsyncOperation for RollCall {
    type Task = usize;
    type Output = Text<String>;

    fn next(&mut self) -> Option<usize> {
        self.next += 1;
        (self.next <= CLASSES.len()).then(|| self.next - 1)
    }

    async fn run(class: usize) -> Result<Text<String>, Error> {
        let (name, pupils) = CLASSES.get(class).ok_or("there is no such class")?;
        // All calls are requested before the first is awaited.
        let calls: Vec<_> = pupils.iter().map(|pupil| submit::<String>("call", pupil)).collect();
        let began = sleep(Duration::from_millis(5)).await;
        let mut answers = Vec::new();
        for (pupil, call) in pupils.iter().zip(calls) {
            match call.await {
                Ok(answer) => answers.push(answer),
                Err(refusal) => {
                    info!("{pupil} of {name} is not there at {} ms: {refusal}", began.as_millis());
                    answers.push(perform::<String>("excuse", pupil).await?);
                }
            }
        }
        Ok(Text(format!("{name}: {}", answers.join(", "))))
    }
}

/// Answers for the pupils, as many calls at once as the pool allows.
#[derive(Default)]
struct Pupils;

impl AsyncWorker for Pupils {
    type Input = String;
    type Output = String;

    async fn handle(&self, action: Action<String>) -> Result<String, Failure> {
        let name = action.input;
        match action.kind.as_str() {
            "call" if name == "lily" => Err(Failure::permanent("lily is ill")),
            "call" => Ok(format!("{name} is here")),
            "excuse" => Ok(format!("{name} is excused")),
            kind => Err(Failure::permanent(format!("`{kind}` is an unknown kind"))),
        }
    }
}

export_both_async!(RollCall, Pupils);
