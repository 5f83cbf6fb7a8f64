//! The role of an operation, which defines the work.

use std::fmt::{self, Display};
use std::future::Future;

use crate::bindings::imports;
use crate::codec::{Decode, Encode};
use crate::error;

/// The most that one call passes to the host, in bytes: the contract allows 8 MiB, and smaller pieces shorten the
/// waits.
const OUTPUT_CHUNK_BYTES: usize = 1 << 20;

/// Task logic whose `run` blocks while it waits. Export it with [`export_operation!`](crate::export_operation).
///
/// One long-lived instance of the component is the *planner*: it has the state `self`, initially `Default`. Every task
/// runs in an instance of its own, which is why `run` has no `self`.
pub trait Operation: Default + 'static {
    /// The input of a task. Plain serde types are encoded as JSON; see [`codec`](crate::codec).
    type Task: Encode + Decode;
    /// The result of a task.
    type Output: Encode + Decode;

    /// Hands out one more task, or none if there is none *now*. Called only while more tasks may be in flight, and
    /// again after each `collect`. The run is over when it returns none and no task is in flight.
    fn next(&mut self) -> Option<Self::Task>;

    /// The logic of one task: it requests actions and combines their results. `?` works on refusals, on every error
    /// with a text and on texts.
    ///
    /// # Errors
    /// An error ends this task and not the run.
    fn run(task: Self::Task) -> Result<Self::Output, Error>;

    /// Takes the end of one task, one at a time. Unless overridden it writes the result to the run's output as one
    /// record ended by a newline, and an error to the log.
    fn collect(&mut self, task: Self::Task, outcome: Result<Self::Output, String>) {
        let _ = task;
        collect_to_output(outcome);
    }

    /// Called once, after the last `collect`: the place to write a combined result.
    ///
    /// # Errors
    /// An error is the run's error, also one about its arguments.
    fn finish(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// As [`Operation`], with an async `run` that may have many futures open at once; see
/// [`concurrent`](crate::concurrent). Export it with [`export_async_operation!`](crate::export_async_operation).
pub trait AsyncOperation: Default + 'static {
    /// As in [`Operation`].
    type Task: Encode + Decode;
    /// As in [`Operation`].
    type Output: Encode + Decode;

    /// As in [`Operation`].
    fn next(&mut self) -> Option<Self::Task>;

    /// As in [`Operation`]; write it as `async fn run(task: Self::Task) -> Result<Self::Output, Error>`.
    fn run(task: Self::Task) -> impl Future<Output = Result<Self::Output, Error>>;

    /// As in [`Operation`].
    fn collect(&mut self, task: Self::Task, outcome: Result<Self::Output, String>) {
        let _ = task;
        collect_to_output(outcome);
    }

    /// As in [`Operation`].
    ///
    /// # Errors
    /// As in [`Operation`].
    fn finish(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// Why a task failed: a text for the operator.
///
/// Every error with a text converts to it by `?`: [`Refusal`](crate::Refusal), the errors of the standard library and
/// of other crates (also `anyhow::Error`, with its causes), `String` and `&str`. That is why it has no `Display`
/// itself: its text is [`message`](Self::message).
#[derive(Clone, PartialEq, Eq)]
pub struct Error(String);

impl Error {
    /// An error with this text.
    pub fn new(message: impl Display) -> Self {
        message.into()
    }

    /// The text.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0
    }
}

impl<E: Display> From<E> for Error {
    fn from(error: E) -> Self {
        Self(format!("{error:#}"))
    }
}

/// Prints the text itself, for `unwrap` in a test.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Appends bytes to the run's output, exactly as they are. Any number of bytes; waits while the output is slow. Only
/// `next`, `collect` and `finish` may call it: elsewhere it traps.
pub fn output(bytes: impl AsRef<[u8]>) {
    for chunk in bytes.as_ref().chunks(OUTPUT_CHUNK_BYTES) {
        imports::output::write(chunk);
    }
}

/// As [`output`], with a newline after the bytes.
pub fn output_line(bytes: impl AsRef<[u8]>) {
    let mut record = Vec::with_capacity(bytes.as_ref().len() + 1);
    record.extend_from_slice(bytes.as_ref());
    record.push(b'\n');
    output(record);
}

/// Returns the arguments of the run, which follow `--`, without the name of the program. They are the same in planner
/// and tasks.
///
/// An argument that is not UTF-8 is read with replacement characters.
pub fn arguments() -> Vec<String> {
    std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect()
}

fn collect_to_output<O: Encode>(outcome: Result<O, String>) {
    match outcome.map(Encode::encode) {
        Ok(Ok(record)) => output_line(record),
        Ok(Err(why)) => error!("a result cannot be written: {why}"),
        Err(why) => error!("a task failed: {why}"),
    }
}

/// Called by the export macros: decodes the bytes of the contract, and encodes the results.
#[doc(hidden)]
pub(crate) mod glue {
    use super::{AsyncOperation, Decode, Encode, Error, Operation, error};

    type Outcome = Result<Vec<u8>, String>;

    fn handed_out<T: Encode>(task: Option<T>) -> Option<Vec<u8>> {
        match task?.encode() {
            Ok(task) => Some(task),
            #[allow(
                clippy::panic,
                reason = "a task left out in silence would be worse than a trap that says why"
            )]
            Err(why) => panic!("a task cannot be encoded: {why}"),
        }
    }

    fn task<T: Decode>(task: Vec<u8>) -> Result<T, String> {
        T::decode(task).map_err(|why| format!("the task cannot be read: {why}"))
    }

    fn came_to<O: Encode>(outcome: Result<O, Error>) -> Outcome {
        outcome
            .map_err(|error| error.0)?
            .encode()
            .map_err(|why| format!("the task's result cannot be encoded: {why}"))
    }

    fn ended<T: Decode, O: Decode>(bytes: Vec<u8>, outcome: Outcome, collect: impl FnOnce(T, Result<O, String>)) {
        let outcome = outcome
            .and_then(|result| O::decode(result).map_err(|why| format!("the task's result cannot be read: {why}")));
        match task(bytes) {
            Ok(task) => collect(task, outcome),
            Err(why) => error!("{why}"),
        }
    }

    pub fn next<T: Operation>(planner: &mut T) -> Option<Vec<u8>> {
        handed_out(planner.next())
    }

    pub fn run<T: Operation>(bytes: Vec<u8>) -> Outcome {
        came_to(T::run(task(bytes)?))
    }

    pub fn collect<T: Operation>(planner: &mut T, bytes: Vec<u8>, outcome: Outcome) {
        ended(bytes, outcome, |task, outcome| planner.collect(task, outcome));
    }

    pub fn finish<T: Operation>(planner: &mut T) -> Result<(), String> {
        planner.finish()
    }

    pub fn next_async<T: AsyncOperation>(planner: &mut T) -> Option<Vec<u8>> {
        handed_out(planner.next())
    }

    pub async fn run_async<T: AsyncOperation>(bytes: Vec<u8>) -> Outcome {
        came_to(T::run(task(bytes)?).await)
    }

    pub fn collect_async<T: AsyncOperation>(planner: &mut T, bytes: Vec<u8>, outcome: Outcome) {
        ended(bytes, outcome, |task, outcome| planner.collect(task, outcome));
    }

    pub fn finish_async<T: AsyncOperation>(planner: &mut T) -> Result<(), String> {
        planner.finish()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;
    use crate::{Reason, Refusal};

    #[derive(Default)]
    struct Halves {
        next: u32,
        seen: Vec<(u32, Result<u32, String>)>,
    }

    impl Operation for Halves {
        type Task = u32;
        type Output = u32;

        fn next(&mut self) -> Option<u32> {
            self.next += 1;
            (self.next <= 3).then_some(self.next)
        }

        fn run(task: u32) -> Result<u32, Error> {
            if task % 2 == 1 {
                return Err(format!("{task} is odd").into());
            }
            Ok(task / 2)
        }

        fn collect(&mut self, task: u32, outcome: Result<u32, String>) {
            self.seen.push((task, outcome));
        }
    }

    #[test]
    fn operation_from_first_task_to_finish() {
        let mut planner = Halves::default();
        while let Some(task) = glue::next(&mut planner) {
            let outcome = glue::run::<Halves>(task.clone());
            glue::collect(&mut planner, task, outcome);
        }
        assert_eq!(
            planner.seen,
            [
                (1, Err("1 is odd".to_owned())),
                (2, Ok(1)),
                (3, Err("3 is odd".to_owned()))
            ]
        );
        assert_eq!(glue::finish(&mut planner), Ok(()));
    }

    #[test]
    fn invalid_task_bytes_are_an_error_text() {
        let why = glue::run::<Halves>(b"{".to_vec()).unwrap_err();
        assert!(
            why.starts_with("the task cannot be read: it is not the JSON expected"),
            "{why}"
        );
        let mut planner = Halves::default();
        glue::collect(&mut planner, b"2".to_vec(), Ok(b"true".to_vec()));
        assert!(
            planner
                .seen
                .remove(0)
                .1
                .unwrap_err()
                .starts_with("the task's result cannot be read")
        );
    }

    #[test]
    fn every_error_with_a_text_converts_to_an_error() {
        fn of(error: impl Into<Error>) -> String {
            error.into().message().to_owned()
        }
        assert_eq!(of("text"), "text");
        assert_eq!(of("text".to_owned()), "text");
        assert_eq!(of("x".parse::<u8>().unwrap_err()), "invalid digit found in string");
        assert_eq!(
            of(Refusal {
                reason: Reason::Poison,
                message: "why".to_owned()
            }),
            "poison: why"
        );
        fn through() -> Result<(), Error> {
            Err(Error::new("same"))?
        }
        assert_eq!(format!("{:?}", through().unwrap_err()), "same");
    }
}
