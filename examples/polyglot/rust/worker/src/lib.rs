//! How many steps a number has to 1: an even one is halved, an odd one tripled and one added.
#![forbid(unsafe_code)]

use disperse_guest::{Action, Failure, Worker, export_worker};

/// The largest exact whole number of some languages.
const MOST: u64 = (1 << 53) - 1;

#[derive(Default)]
struct Steps;

impl Worker for Steps {
    type Input = u64;
    type Output = u64;

    fn handle(&mut self, action: Action<u64>) -> Result<u64, Failure> {
        let (mut n, mut steps) = (action.input, 0);
        if n == 0 {
            return Err(Failure::Permanent("0 has no way to 1".into()));
        }
        while n != 1 {
            if n > MOST {
                return Err(Failure::Permanent("a number on the way is over 2^53 - 1".into()));
            }
            n = if n % 2 == 0 { n / 2 } else { 3 * n + 1 };
            steps += 1;
        }
        Ok(steps)
    }
}

export_worker!(Steps);
