//! Counts the words of a line.

use disperse_guest::{Action, Failure, Text, Worker, export_worker};

#[derive(Default)]
struct Words;

impl Worker for Words {
    type Input = Text<String>;
    type Output = Text<usize>;

    fn handle(&mut self, action: Action<Text<String>>) -> Result<Text<usize>, Failure> {
        Ok(Text(action.input.0.split_whitespace().count()))
    }
}

export_worker!(Words);
