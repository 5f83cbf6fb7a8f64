//! A worker that runs a program: `date`, which knows what "next friday" is.
#![forbid(unsafe_code)]

use disperse_guest::{Action, Failure, Text, Worker, exec, export_worker};

#[derive(Default)]
struct Date;

impl Worker for Date {
    type Input = Text<String>;
    type Output = Text<i64>;

    fn handle(&mut self, action: Action<Text<String>>) -> Result<Text<i64>, Failure> {
        let ended = exec::command("/usr/bin/date")
            .argument("--utc")
            .argument(format!("--date={}", action.input.0))
            .argument("+%s")
            .run()?;
        if !ended.is_success() {
            let said = String::from_utf8_lossy(&ended.errors);
            return Err(Failure::permanent(said.trim_end()));
        }
        Ok(Text(ended.text().trim_end().parse()?))
    }
}

export_worker!(Date);
