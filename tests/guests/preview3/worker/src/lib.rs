//! An async worker that calls async functions of WASI 0.3, and one that no host has.

use disperse_guest::{Action, AsyncWorker, Failure, Text, export_async_worker};
use wasip3::{clocks::monotonic_clock, random::random};

mod nowhere {
    wit_bindgen::generate!({
        inline: "
            package test:nowhere;
            interface missing { later: async func(n: u32) -> u32; }
            world imports { import missing; }
        ",
        generate_all,
    });
}

#[derive(Default)]
struct Worker;

impl AsyncWorker for Worker {
    type Input = Text<String>;
    type Output = Text<String>;

    async fn handle(&self, action: Action<Text<String>>) -> Result<Text<String>, Failure> {
        let line = action.input.0;
        let words: Vec<&str> = line.split(' ').collect();
        Ok(Text(match words.as_slice() {
            ["wait", ms] => {
                let before = monotonic_clock::now();
                let wait = ms.parse::<u64>()? * 1_000_000;
                monotonic_clock::wait_for(wait).await;
                let took = monotonic_clock::now() - before;
                if took < wait { "early" } else { "waited" }.to_owned()
            }
            ["random", bytes] => random::get_random_bytes(bytes.parse()?).len().to_string(),
            ["missing"] => nowhere::test::nowhere::missing::later(1).await.to_string(),
            _ => return Err(Failure::permanent("what?")),
        }))
    }
}

export_async_worker!(Worker);
