//! Squares a number.

use disperse_guest::{Action, Failure, OrFail, Worker, export_worker};

#[derive(Default)]
struct Square;

impl Worker for Square {
    type Input = i64;
    type Output = i64;

    fn handle(&mut self, action: Action<i64>) -> Result<i64, Failure> {
        action.input.checked_pow(2).ok_or("too large").or_permanent()
    }
}

export_worker!(Square);
