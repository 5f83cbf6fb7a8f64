//! Fetches a whole catalogue, page by page and item by item. The host decides which token is used when: only it knows the
//! quotas.
#![forbid(unsafe_code)]

mod miner;

use disperse_guest::concurrent::{perform, perform_all};
use disperse_guest::{AsyncOperation, Encode, Error, error, export_both_async, output_line};
use miner::Miner;
use serde::{Deserialize, Serialize};

/// How many pages one task fetches.
const PAGES_PER_TASK: u32 = 2;

/// The planner. The number of pages is known only from a page, so the first task runs alone.
struct Catalogue {
    /// The first page of the next task.
    next: u32,
    /// The last page, once it is known.
    last: Option<u32>,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self { next: 1, last: None }
    }
}

/// A page of the catalogue, as the server sends it.
#[derive(Debug, Serialize, Deserialize)]
struct Page {
    /// How many pages there are.
    pages: u32,
    /// The numbers of its items.
    items: Vec<u32>,
    next: Option<u32>,
}

/// One item of the catalogue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Item {
    id: u32,
    name: String,
    price: u32,
}

/// The result of a task.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Block {
    pages: u32,
    items: Vec<Item>,
}

impl AsyncOperation for Catalogue {
    type Task = u32;
    type Output = Block;

    fn next(&mut self) -> Option<u32> {
        let first = self.next;
        let is_there = match self.last {
            None => first == 1,
            Some(last) => first <= last,
        };
        is_there.then(|| {
            self.next = first.saturating_add(PAGES_PER_TASK);
            first
        })
    }

    async fn run(first: u32) -> Result<Block, Error> {
        let mut block = Block::default();
        let mut ids = Vec::new();
        let mut page = Some(first);
        while let Some(number) = page.filter(|number| *number < first.saturating_add(PAGES_PER_TASK)) {
            let found: Page = perform("page", number).await?;
            block.pages = found.pages;
            ids.extend(found.items);
            page = found.next;
        }
        let items = perform_all("item", ids).await;
        block.items = items.into_iter().collect::<Result<_, _>>()?;
        Ok(block)
    }

    /// Writes one line for each item, and stores how many pages there are.
    fn collect(&mut self, first: u32, outcome: Result<Block, String>) {
        let block = match outcome {
            Ok(block) => block,
            Err(why) => return error!("the pages from {first} on are not here: {why}"),
        };
        self.last = self.last.or(Some(block.pages));
        for item in &block.items {
            match item.encode() {
                Ok(line) => output_line(line),
                Err(why) => error!("an item cannot be written: {why}"),
            }
        }
    }
}

export_both_async!(Catalogue, Miner);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_task_runs_alone_and_the_others_follow() {
        let mut planner = Catalogue::default();
        assert_eq!((planner.next(), planner.next()), (Some(1), None));
        planner.last = Some(5);
        assert_eq!(
            (planner.next(), planner.next(), planner.next()),
            (Some(3), Some(5), None)
        );
    }
}
