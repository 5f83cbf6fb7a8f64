//! Accounts, tokens and their quotas, and the answers that follow from them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use crate::{
    answer::Answer,
    catalogue::{Catalogue, missing},
    quota::{Quota, Window},
};

/// The cost of a page and of an item, in units.
const PAGE_UNITS: u64 = 2;
const ITEM_UNITS: u64 = 1;

/// The options of the command line.
pub(crate) struct Options {
    pub(crate) pages: u32,
    pub(crate) limit: u64,
    pub(crate) window_ms: u64,
    /// Whether answers tell what is left of the quota.
    pub(crate) headers: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pages: 40,
            limit: 50,
            window_ms: 10_000,
            headers: true,
        }
    }
}

/// The state of a token.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Works,
    Revoked,
    /// Every request with it is answered with 500.
    Broken,
}

/// Each token with its account.
const TOKENS: [(&str, &str, Fate); 8] = [
    ("demo-a", "a", Fate::Works),
    ("demo-b", "b", Fate::Works),
    ("demo-c", "c", Fate::Works),
    ("demo-d", "d", Fate::Works),
    ("demo-e", "shared", Fate::Works),
    ("demo-f", "shared", Fate::Works),
    ("demo-revoked", "revoked", Fate::Revoked),
    ("demo-broken", "broken", Fate::Broken),
];

/// The accounts whose windows slide; those of the others are fixed.
const SLIDING: [&str; 2] = ["c", "d"];

/// The answers to a token.
#[derive(Default)]
struct Met {
    requests: u64,
    unauthorized: u64,
    broken: u64,
}

pub(crate) struct Server {
    headers: bool,
    window_ms: u64,
    began: Instant,
    changing: Mutex<Changing>,
}

/// The state that requests change.
struct Changing {
    catalogue: Catalogue,
    accounts: BTreeMap<&'static str, Quota>,
    met: BTreeMap<&'static str, Met>,
    /// The first and the last request, in ms since the server began. The first window begins with the first one.
    seen_ms: Option<(u64, u64)>,
}

impl Server {
    pub(crate) fn new(options: Options) -> Self {
        let quota = |account| {
            let window = if SLIDING.contains(&account) {
                Window::Sliding
            } else {
                Window::Fixed
            };
            (account, Quota::new(window, options.window_ms, options.limit))
        };
        Self {
            headers: options.headers,
            window_ms: options.window_ms,
            began: Instant::now(),
            changing: Mutex::new(Changing {
                catalogue: Catalogue::new(options.pages),
                accounts: TOKENS.iter().map(|(_, account, _)| quota(*account)).collect(),
                met: TOKENS.iter().map(|(token, ..)| (*token, Met::default())).collect(),
                seen_ms: None,
            }),
        }
    }

    /// Returns the answer to this path with this token. Does not wait: the answer contains its delay.
    pub(crate) fn answer(&self, path: &str, token: Option<&str>) -> Answer {
        let mut changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock, so that time does not go back between two requests.
        let now_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if path == "/stats" {
            return Answer::ok(changing.stats(self.window_ms));
        }
        changing.answer(now_ms, path, token, self.headers)
    }
}

impl Changing {
    fn answer(&mut self, now_ms: u64, path: &str, token: Option<&str>, headers: bool) -> Answer {
        let known = TOKENS.iter().find(|(known, ..)| token == Some(*known));
        let Some((token, account, fate)) = known else {
            return unauthorized("no such token");
        };
        let (first_ms, last_ms) = self.seen_ms.get_or_insert((now_ms, now_ms));
        *last_ms = now_ms;
        let now_ms = now_ms - *first_ms;
        let met = self.met.entry(token).or_default();
        met.requests += 1;
        if *fate == Fate::Revoked {
            met.unauthorized += 1;
            return unauthorized("the token was revoked");
        }
        let page = path.strip_prefix("/items?page=").map(str::parse);
        let item = path.strip_prefix("/items/").map(str::parse);
        let units = if page.is_some() { PAGE_UNITS } else { ITEM_UNITS };
        let Some(quota) = self.accounts.get_mut(account) else {
            return missing();
        };
        let taken = quota.take(now_ms, units);
        let limit = quota.limit();
        let mut answer = match (taken.retry_after_ms, page, item) {
            (Some(after_ms), ..) => Answer::new("429 Too Many Requests", r#"{"error":"over the quota"}"#)
                .header("Retry-After", after_ms.div_ceil(1000))
                .header("X-Retry-After-Ms", after_ms),
            _ if *fate == Fate::Broken => {
                met.broken += 1;
                Answer::new("500 Internal Server Error", r#"{"error":"broken"}"#)
            }
            (_, Some(Ok(page)), _) => self.catalogue.page(page),
            (_, _, Some(Ok(id))) => self.catalogue.item(id),
            _ => missing(),
        };
        if headers {
            answer = answer
                .header("X-RateLimit-Limit", limit)
                .header("X-RateLimit-Remaining", taken.remaining);
            if let Some(reset_ms) = taken.reset_ms {
                answer = answer.header("X-RateLimit-Reset-Ms", reset_ms);
            }
        }
        answer
    }

    fn stats(&self, window_ms: u64) -> String {
        let accounts = object(self.accounts.iter().map(|(account, quota)| (*account, quota.stats())));
        let tokens = object(self.met.iter().map(|(token, met)| {
            let Met {
                requests,
                unauthorized,
                broken,
            } = met;
            let met = format!(r#"{{"requests":{requests},"401":{unauthorized},"500":{broken}}}"#);
            (*token, met)
        }));
        let items = self.catalogue.stats();
        let (first_ms, last_ms) = self.seen_ms.unwrap_or_default();
        let mut stats = format!(r#"{{"window_ms":{window_ms},"first_ms":{first_ms},"last_ms":{last_ms},"#);
        stats += &format!("\n\"items\":{items},\n\"accounts\":{accounts},\n\"tokens\":{tokens}}}\n");
        stats
    }
}

/// Returns a JSON object of JSON values, one a line.
fn object(values: impl Iterator<Item = (&'static str, String)>) -> String {
    let values: Vec<String> = values.map(|(name, value)| format!("\n  \"{name}\":{value}")).collect();
    format!("{{{}}}", values.join(","))
}

fn unauthorized(why: &str) -> Answer {
    Answer::new("401 Unauthorized", format!(r#"{{"error":"{why}"}}"#)).header("WWW-Authenticate", "Bearer")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(limit: u64) -> Server {
        Server::new(Options {
            limit,
            window_ms: 3_600_000,
            ..Options::default()
        })
    }

    #[test]
    fn two_tokens_of_one_account_share_its_quota() {
        let server = server(3);
        let page = server.answer("/items?page=1", Some("demo-e"));
        assert_eq!(page.value("X-RateLimit-Remaining"), Some("1"), "{}", page.status);
        assert!(server.answer("/items/1", Some("demo-f")).status.starts_with("200"));
        let over = server.answer("/items/2", Some("demo-e"));
        assert!(over.status.starts_with("429"));
        assert_eq!(over.value("Retry-After"), Some("3600"));
        assert!(server.answer("/items/2", Some("demo-a")).status.starts_with("200"));
        let stats = server.answer("/stats", None).body;
        assert!(stats.contains(r#""used":{"0":3},"rejected":1"#), "{stats}");
        assert!(stats.contains(r#""items":{"distinct":2,"most":1}"#), "{stats}");
    }

    #[test]
    fn revoked_broken_and_unknown_tokens_are_errors() {
        let server = server(3);
        for (token, status) in [
            (None, "401"),
            (Some("demo-z"), "401"),
            (Some("demo-revoked"), "401"),
            (Some("demo-broken"), "500"),
            (Some("demo-c"), "200"),
        ] {
            let answer = server.answer("/items/1", token);
            assert!(answer.status.starts_with(status), "{token:?}: {}", answer.status);
        }
        assert!(server.answer("/elsewhere", Some("demo-a")).status.starts_with("404"));
        let stats = server.answer("/stats", None).body;
        assert!(
            stats.contains(r#""demo-broken":{"requests":1,"401":0,"500":1}"#),
            "{stats}"
        );
        assert!(
            stats.contains(r#""demo-revoked":{"requests":1,"401":1,"500":0}"#),
            "{stats}"
        );
    }
}
