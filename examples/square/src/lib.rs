//! The smallest worker: the square of a whole number, as text.
#![forbid(unsafe_code)]

use disperse_guest::{Action, Failure, OrFail, Text, Worker, export_worker};

#[derive(Default)]
struct Square;

impl Worker for Square {
    type Input = Text<String>;
    type Output = Text<i128>;

    fn handle(&mut self, action: Action<Text<String>>) -> Result<Text<i128>, Failure> {
        let line = action.input.0;
        let number: i128 = line
            .trim()
            .parse()
            .map_err(|why| format!("`{line}` is not a whole number: {why}"))
            .or_permanent()?;
        number
            .checked_pow(2)
            .map(Text)
            .ok_or(format!("the square of {number} does not fit in 128 bits"))
            .or_permanent()
    }
}

export_worker!(Square);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares() {
        let square = |line: &str| Square.handle(Action::new("line", Text(line.to_owned())));
        assert_eq!(square("12"), Ok(Text(144)));
        assert_eq!(square(" -3 "), Ok(Text(9)));
        assert_eq!(square("9223372036854775808"), Ok(Text(1 << 126)));
        for bad in ["", "x", "1.5", "13043817825332782213", "1e3"] {
            assert!(matches!(square(bad), Err(Failure::Permanent(_))), "{bad}");
        }
    }
}
