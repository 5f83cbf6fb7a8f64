//! A program with the host built in: its own functions and a sandboxed component work side by side.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it is a program, and this is what it says"
)]

use std::error::Error;

use disperse_host::{Action, Attempt, Compiler, Component, Event, Failure, Host, Operation, Pool, Task};

/// Where `cargo build` puts the example `square`, seen from the project's folder.
const SQUARE: &str = "examples/target/wasm32-wasip2/release/square.wasm";

fn main() -> Result<(), Box<dyn Error>> {
    // Before all else: the process that compiles components is this program once more.
    let compiler = Compiler::prepare();
    let path = std::env::args().nth(1).unwrap_or_else(|| SQUARE.to_owned());
    let host = Host::builder().compiler(compiler).cache(true).build()?;
    let square = Component::open(&host, path)?;
    tokio::runtime::Runtime::new()?.block_on(areas(&host, &square))
}

/// Prints how large fields are, of which a table of our own has the sides, and a component the arithmetic.
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

/// A worker of our own. The first replica is down, so that its work goes to the other one.
async fn look_up(attempt: Attempt) -> Result<&'static str, Failure> {
    if attempt.worker() == "replica/1" {
        return Err(Failure::retryable("the replica is down"));
    }
    match &attempt.payload()[..] {
        b"north" => Ok("12"),
        b"east" => Ok("35"),
        b"south" => Ok("8"),
        _ => Err(Failure::permanent("nobody has measured this field")),
    }
}
