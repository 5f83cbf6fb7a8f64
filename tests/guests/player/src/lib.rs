//! An operation whose tasks run the steps in its arguments: each argument is a task, with steps separated by `;`. Their results
//! are the task's result.
#![forbid(unsafe_code)]

use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime};

use disperse_guest::{
    Error, Operation, Pending, Text, arguments, error, export_operation, info, output, perform, perform_all, sleep,
    submit, wait_any,
};

#[derive(Default)]
struct Player {
    next: usize,
    taken: usize,
}

impl Operation for Player {
    type Task = Text<String>;
    type Output = Text<String>;

    fn next(&mut self) -> Option<Text<String>> {
        self.next += 1;
        arguments().get(self.next - 1).cloned().map(Text)
    }

    fn collect(&mut self, _: Text<String>, outcome: Result<Text<String>, String>) {
        self.taken += 1;
        match outcome {
            Ok(result) => output(result.0 + "\n"),
            Err(why) => error!("a task failed: {why}"),
        }
    }

    /// For a task `count`: how many tasks it started, and how many ended.
    fn finish(&mut self) -> Result<(), String> {
        let arguments = arguments();
        if arguments.iter().any(|task| task == "count") {
            output(format!("{} {}\n", self.next.min(arguments.len()), self.taken));
        }
        Ok(())
    }

    fn run(task: Text<String>) -> Result<Text<String>, Error> {
        let mut said = Vec::new();
        let mut pendings: Vec<Pending<Text<String>>> = Vec::new();
        for step in task.0.split(';') {
            let words: Vec<&str> = step.split_whitespace().collect();
            match words.as_slice() {
                ["ask", kind, payload] => said.push(of(perform(kind, Text(*payload)))),
                ["all", kind, payloads @ ..] => {
                    said.extend(perform_all(kind, payloads.iter().map(Text)).into_iter().map(of));
                }
                ["submit", kind, payload] => pendings.push(submit(kind, Text(*payload))),
                // The results available, by their index in the order of submission.
                ["any"] => said.push(format!("{:?}", wait_any(&pendings))),
                ["drop"] => drop(pendings.pop()),
                ["take"] => said.extend(pendings.drain(..).map(|pending| of(pending.take()))),
                ["sleep", ms] => said.push(format!("{}ms", sleep(Duration::from_millis(number(ms)?)).as_millis())),
                ["nap-for-ever"] => loop {
                    sleep(Duration::from_secs(3600));
                },
                ["ask-for-ever", kind] => loop {
                    let _ = perform::<Text<String>>(kind, Text("again"));
                },
                ["spin", rounds] => {
                    black_box((0..number(rounds)?).fold(0u64, |sum, n| black_box(sum ^ n)));
                }
                ["clock"] => {
                    let since = SystemTime::now()
                        .duration_since(SystemTime::UNIX_EPOCH)
                        .unwrap_or_default();
                    let nothing = Instant::now().elapsed();
                    said.push(format!("{}s {}ns", since.as_secs(), nothing.as_nanos()));
                }
                ["say", word] => info!("{word}"),
                ["count"] => {}
                ["fail", word] => return Err(Error::new(word)),
                _ => return Err(Error::new(format!("`{step}` is no step"))),
            }
        }
        Ok(Text(said.join(" ")))
    }
}

fn number(text: &str) -> Result<u64, Error> {
    text.parse().map_err(|_| Error::new(format!("`{text}` is no number")))
}

fn of(outcome: Result<Text<String>, disperse_guest::Refusal>) -> String {
    match outcome {
        Ok(Text(text)) => text,
        Err(refusal) => format!("({:?})", refusal.reason),
    }
}

export_operation!(Player);
