//! The worker: sends one request and translates its status for the host.

use std::time::Duration;

use disperse_guest::{Action, AsyncWorker, Failure, Raw, http, report_quota};

/// From the settings:
///
/// | setting   | value                                                                                         |
/// |-----------|-----------------------------------------------------------------------------------------------|
/// | `BASE`    | the URL of the server, such as `http://127.0.0.1:8000`                                          |
/// | `TOKEN`   | a placeholder, which the host replaces by the token                                           |
/// | `REPORTS` | `1`: the worker reports to the host what the server tells of the quota                        |
pub(crate) struct Miner {
    base: Option<String>,
    token: String,
    reports: bool,
}

impl Default for Miner {
    fn default() -> Self {
        let setting = |name| std::env::var(name).ok();
        Self {
            base: setting("BASE"),
            token: setting("TOKEN").unwrap_or_default(),
            reports: setting("REPORTS").as_deref() == Some("1"),
        }
    }
}

impl AsyncWorker for Miner {
    type Input = u32;
    type Output = Raw;

    /// Returns the JSON of the server, unchanged.
    async fn handle(&self, action: Action<u32>) -> Result<Raw, Failure> {
        let base = self.base.as_deref();
        let base = base.ok_or_else(|| Failure::permanent("no BASE says where the server is"))?;
        let number = action.input;
        let path = match action.kind.as_str() {
            "page" => format!("/items?page={number}"),
            "item" => format!("/items/{number}"),
            kind => return Err(Failure::permanent(format!("`{kind}` is an unknown kind"))),
        };
        let request = http::get(format!("{base}{path}")).header("Authorization", format!("Bearer {}", self.token));
        let response = request.fetch_async().await.map_err(|problem| match problem {
            // The other workers of the pool have the same grants.
            http::Problem::Denied(_) => Failure::permanent(problem),
            other => other.into(),
        })?;
        if self.reports
            && let Some((remaining, resets)) = quota(&response)
        {
            report_quota("", remaining, resets);
        }
        outcome(&path, response)
    }
}

/// Returns what is left of the quota and in how long the window ends, if the answer tells. A sliding window has no end.
fn quota(response: &http::Response) -> Option<(u32, Duration)> {
    let number = |name| response.header(name)?.parse().ok();
    let remaining = number("X-RateLimit-Remaining")?;
    let resets = number("X-RateLimit-Reset-Ms").unwrap_or(0);
    Some((remaining, Duration::from_millis(resets.into())))
}

/// Returns the failure of a status, which is a fault of the token, of the moment or of the request; none if it is a success.
fn outcome(path: &str, response: http::Response) -> Result<Raw, Failure> {
    match response.status {
        200 => Ok(Raw(response.body)),
        401 => Err(Failure::unfit("the token was revoked")),
        429 => Err(Failure::busy(wait(&response))),
        // It may succeed later, or with another token.
        status @ 500.. => Err(Failure::retryable(format!("{status} {path}"))),
        status => Err(Failure::permanent(format!("{status} {path}"))),
    }
}

/// Returns how long the server wants no requests, from a header in ms, else from one in seconds. Zero: unknown.
fn wait(response: &http::Response) -> Duration {
    let number = |name| response.header(name)?.parse().ok();
    let exact = number("X-Retry-After-Ms").map(Duration::from_millis);
    exact
        .or_else(|| number("Retry-After").map(Duration::from_secs))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, headers: &[(&str, &str)]) -> http::Response {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        http::Response {
            status,
            headers: headers.iter().map(own).collect(),
            body: b"{}".to_vec(),
        }
    }

    fn of(status: u16, headers: &[(&str, &str)]) -> Result<Raw, Failure> {
        outcome("/items/1", response(status, headers))
    }

    #[test]
    fn each_status_becomes_its_failure() {
        assert_eq!(of(200, &[]), Ok(Raw(b"{}".to_vec())));
        assert!(matches!(of(401, &[]), Err(Failure::Unfit(_))));
        assert_eq!(of(503, &[]), Err(Failure::retryable("503 /items/1")));
        assert_eq!(of(404, &[]), Err(Failure::permanent("404 /items/1")));
        let exact = [("retry-after", "3"), ("x-retry-after-ms", "2100")];
        assert_eq!(of(429, &exact), Err(Failure::busy(Duration::from_millis(2100))));
        assert_eq!(of(429, &exact[..1]), Err(Failure::busy(Duration::from_secs(3))));
        assert_eq!(of(429, &[]), Err(Failure::busy(Duration::ZERO)));
    }

    #[test]
    fn quota_is_read_from_the_headers() {
        let both = [("x-ratelimit-remaining", "7"), ("x-ratelimit-reset-ms", "1500")];
        assert_eq!(quota(&response(200, &both)), Some((7, Duration::from_millis(1500))));
        assert_eq!(quota(&response(200, &both[..1])), Some((7, Duration::ZERO)));
        assert_eq!(quota(&response(200, &both[1..])), None);
    }
}
