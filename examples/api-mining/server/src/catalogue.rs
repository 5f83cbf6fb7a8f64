//! The content of the server: pages of items, some of which fail or are slow at first.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::answer::Answer;

const ITEMS_PER_PAGE: u32 = 25;

/// The catalogue, and how often each item was fetched.
pub(crate) struct Catalogue {
    pages: u32,
    /// The items that were already answered with 503.
    refused: BTreeSet<u32>,
    /// How often each item was fetched.
    fetched: BTreeMap<u32, u64>,
}

impl Catalogue {
    pub(crate) fn new(pages: u32) -> Self {
        Self {
            pages,
            refused: BTreeSet::new(),
            fetched: BTreeMap::new(),
        }
    }

    /// Returns a page, from 1.
    pub(crate) fn page(&self, page: u32) -> Answer {
        if !(1..=self.pages).contains(&page) {
            return missing();
        }
        let last = page * ITEMS_PER_PAGE;
        let items: Vec<String> = (last - ITEMS_PER_PAGE + 1..=last).map(|id| id.to_string()).collect();
        let next = if page < self.pages {
            (page + 1).to_string()
        } else {
            "null".to_owned()
        };
        let (pages, items) = (self.pages, items.join(","));
        Answer::ok(format!(
            r#"{{"page":{page},"pages":{pages},"items":[{items}],"next":{next}}}"#
        ))
    }

    /// Returns an item, from 1.
    pub(crate) fn item(&mut self, id: u32) -> Answer {
        if !(1..=self.pages * ITEMS_PER_PAGE).contains(&id) {
            return missing();
        }
        if is_flaky(id) && self.refused.insert(id) {
            return Answer::new("503 Service Unavailable", r#"{"error":"not now"}"#);
        }
        *self.fetched.entry(id).or_default() += 1;
        let price = id * 7 % 1000;
        Answer::ok(format!(r#"{{"id":{id},"name":"item {id}","price":{price}}}"#)).after(delay(id))
    }

    /// Returns how many items were fetched, and the highest count of one item.
    pub(crate) fn stats(&self) -> String {
        let distinct = self.fetched.len();
        let most = self.fetched.values().max().unwrap_or(&0);
        format!(r#"{{"distinct":{distinct},"most":{most}}}"#)
    }
}

/// Whether the first request for an item is answered with 503: one item of 25.
fn is_flaky(id: u32) -> bool {
    id % 25 == 7
}

/// Whether an item is slow: one of 12.
fn delay(id: u32) -> Duration {
    if id % 12 == 5 {
        Duration::from_millis(200 + u64::from(id % 3) * 100)
    } else {
        Duration::ZERO
    }
}

pub(crate) fn missing() -> Answer {
    Answer::new("404 Not Found", r#"{"error":"nothing here"}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_but_the_last_names_the_next() {
        let catalogue = Catalogue::new(2);
        assert!(
            catalogue
                .page(1)
                .body
                .starts_with(r#"{"page":1,"pages":2,"items":[1,2,"#)
        );
        assert!(catalogue.page(1).body.ends_with(r#"25],"next":2}"#));
        assert!(catalogue.page(2).body.ends_with(r#"50],"next":null}"#));
        for page in [0, 3, u32::MAX] {
            assert!(catalogue.page(page).status.starts_with("404"));
        }
    }

    #[test]
    fn flaky_item_is_answered_the_second_time() {
        let mut catalogue = Catalogue::new(1);
        assert!(catalogue.item(7).status.starts_with("503"));
        assert_eq!(catalogue.stats(), r#"{"distinct":0,"most":0}"#);
        assert!(catalogue.item(7).status.starts_with("200"));
        assert!(catalogue.item(5).delay > Duration::ZERO);
        catalogue.item(5);
        assert_eq!(catalogue.stats(), r#"{"distinct":2,"most":2}"#);
    }
}
