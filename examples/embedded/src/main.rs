//! A program that embeds the host: its own functions and a sandboxed component work side by side.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program prints its results")]

use std::error::Error;

use disperse::{Action, Attempt, Compiler, Component, Event, Failure, Host, Operation, Pool, Task};

/// The path of the built example `square`, relative to the project's folder.
const SQUARE: &str = "examples/target/wasm32-wasip2/release/square.wasm";

fn main() -> Result<(), Box<dyn Error>> {
    // First: the process that compiles components is this program again.
    let compiler = Compiler::prepare();
    let path = std::env::args().nth(1).unwrap_or_else(|| SQUARE.to_owned());
    let host = Host::builder().compiler(compiler).cache(true).build()?;
    let square = Component::open(&host, path)?;
    tokio::runtime::Runtime::new()?.block_on(areas(&host, &square))
}

/// Prints how large fields are: a function has the table of their sides, and a component does the arithmetic.
async fn areas(host: &Host, square: &Component) -> Result<(), Box<dyn Error>> {
    let fields = ["north", "east", "south", "west"];
    let operation = Operation::native(fields, |task: Task| async move {
        let side = task.perform(Action::new("side", task.input().clone())).await?;
        let area = task.perform(Action::new("square", side)).await?;
        Ok([task.input(), &b": "[..], &area].concat())
    });
    let mut run = host
        .run(operation)
        .pool(Pool::native("replica", look_up).kind("side").workers(2))
        .pool(Pool::component("square", square).kind("square").workers(2))
        .ordered(true)
        .start()?;
    while let Some(event) = run.next().await {
        match event {
            Event::Output { bytes, .. } => println!("{}", String::from_utf8_lossy(&bytes)),
            Event::TaskEnded {
                task,
                error: Some(error),
                ..
            } => eprintln!("task {task}: {error}"),
            Event::AttemptFailed { worker, message, .. } => eprintln!("{worker}: {message}"),
            _ => {}
        }
    }
    let summary = run.finish().await?;
    println!("{} of {} fields are known", summary.tasks_done, fields.len());
    Ok(())
}

/// A worker that is a function. The first replica is down, so its work goes to the other one.
async fn look_up(attempt: Attempt) -> Result<&'static str, Failure> {
    if attempt.worker() == "replica/1" {
        return Err(Failure::retryable("the replica is down"));
    }
    match &attempt.payload()[..] {
        b"north" => Ok("12"),
        b"east" => Ok("35"),
        b"south" => Ok("8"),
        _ => Err(Failure::permanent("this field has not been measured")),
    }
}
