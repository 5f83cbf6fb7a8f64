//! Adds up the squares of the numbers of each line.

use disperse_guest::{Error, Operation, export_operation, perform_all};

#[derive(Default)]
struct Squares;

impl Operation for Squares {
    type Task = Vec<i64>;
    type Output = i64;

    fn next(&mut self) -> Option<Vec<i64>> {
        let line = std::io::stdin().lines().next()?.ok()?;
        Some(line.split_whitespace().filter_map(|word| word.parse().ok()).collect())
    }

    fn run(numbers: Vec<i64>) -> Result<i64, Error> {
        let squares: Vec<i64> = perform_all("square", numbers).into_iter().collect::<Result<_, _>>()?;
        Ok(squares.iter().sum())
    }
}

export_operation!(Squares);
