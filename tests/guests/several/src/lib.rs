//! An async worker that runs the command in each line, a word and its arguments, concurrently in one instance; and an operation
//! that cancels an action.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::time::Duration;

use disperse_guest::concurrent::{sleep, submit};
use disperse_guest::{Action, AsyncOperation, AsyncWorker, Error, Failure, Text, attempt, export_both_async, http};

#[derive(Default)]
struct Several {
    /// How many attempts this instance has had.
    given: Cell<u32>,
}

impl AsyncWorker for Several {
    type Input = Text<String>;
    type Output = Text<String>;

    async fn handle(&self, action: Action<Text<String>>) -> Result<Text<String>, Failure> {
        self.given.set(self.given.get() + 1);
        let line = action.input.0;
        let words: Vec<&str> = line.split(' ').collect();
        let text = match words.as_slice() {
            ["echo", text] => (*text).to_owned(),
            ["get", url] => get(url).await?,
            ["trap", url] => {
                get(url).await?;
                panic!("as it was told");
            }
            ["die"] => panic!("as it was told"),
            ["spin", url] => {
                get(url).await?;
                spin(u64::MAX)
            }
            // A loop of this many rounds.
            ["work", rounds] => spin(rounds.parse()?),
            // The name of its action, before and after other attempts ran.
            ["context", url] => {
                let before = attempt().action;
                disperse_guest::info!("{before} begins");
                get(url).await?;
                let after = attempt().action;
                disperse_guest::info!("{after} ends");
                format!("{before} {after}")
            }
            ["given"] => self.given.get().to_string(),
            ["large", bytes] => "x".repeat(bytes.parse()?),
            _ => return Err(Failure::permanent("what?")),
        };
        Ok(Text(text))
    }
}

async fn get(url: &str) -> Result<String, Failure> {
    let response = http::get(url).fetch_async().await.map_err(Failure::retryable)?;
    Ok(response.text().to_string())
}

fn spin(rounds: u64) -> String {
    let mut sum = 0u64;
    for round in 0..rounds {
        sum = std::hint::black_box(sum.wrapping_add(round));
    }
    sum.to_string()
}

/// Submits two actions, with its arguments as payloads, and cancels the second while both are in flight.
#[derive(Default)]
struct Mind {
    asked: bool,
}

impl AsyncOperation for Mind {
    type Task = Vec<String>;
    type Output = Text<String>;

    fn next(&mut self) -> Option<Vec<String>> {
        (!std::mem::replace(&mut self.asked, true)).then(|| std::env::args().skip(1).collect())
    }

    async fn run(task: Vec<String>) -> Result<Text<String>, Error> {
        let [wanted, given_up] = task.try_into().map_err(|_| "two, please")?;
        let wanted = submit::<Text<String>>("line", Text(wanted));
        let given_up = submit::<Text<String>>("line", Text(given_up));
        sleep(Duration::from_millis(200)).await;
        drop(given_up);
        Ok(wanted.await?)
    }
}

export_both_async!(Mind, Several);
