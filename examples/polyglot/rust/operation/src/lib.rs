//! Which number of each range has the longest way to 1.
#![forbid(unsafe_code)]

use disperse_guest::{Error, Operation, export_operation, perform_all};

#[derive(Default)]
struct Longest;

impl Operation for Longest {
    type Task = String;
    type Output = String;

    fn next(&mut self) -> Option<String> {
        std::io::stdin().lines().next()?.ok()
    }

    fn run(line: String) -> Result<String, Error> {
        let (from, to) = line.split_once(' ').ok_or("a line has two numbers")?;
        let (from, to) = (number(from)?, number(to)?);
        let (mut longest, mut most) = (from, 0);
        for (n, steps) in (from..=to).zip(perform_all("steps", from..=to)) {
            let steps: u64 = steps?;
            if steps > most {
                (longest, most) = (n, steps);
            }
        }
        Ok(format!("{from}-{to}: {longest} takes {most} steps"))
    }
}

fn number(text: &str) -> Result<u64, Error> {
    text.parse().map_err(|_| format!("`{text}` is not a number").into())
}

export_operation!(Longest);
