//! The smallest worker: the square of a whole number, as text.
#![forbid(unsafe_code)]

use disperse_guest::{Action, Failure, OrFail, Text, Worker, export_worker};

#[derive(Default)]
struct Square;

impl Worker for Square {
    type Input = Text<i128>;
    type Output = Text<i128>;

    fn handle(&mut self, action: Action<Text<i128>>) -> Result<Text<i128>, Failure> {
        let square = action.input.0.checked_pow(2);
        square.map(Text).ok_or("the square exceeds 128 bits").or_permanent()
    }
}

export_worker!(Square);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_are_exact_or_permanent_failures() {
        let square = |number: i128| Square.handle(Action::new("line", Text(number)));
        assert_eq!(square(12), Ok(Text(144)));
        assert_eq!(square(-3), Ok(Text(9)));
        assert_eq!(square(1 << 63), Ok(Text(1 << 126)));
        assert!(matches!(square(1 << 64), Err(Failure::Permanent(_))));
    }
}
