//! From text to events and policies and back.

use std::time::Duration;

use crate::{
    ActionId, AttemptId, Blame, BucketId, End, Event, FailedBefore, KindId, Moment, OwnerId, Policy, PoolId, Quota,
    Report, Spec, TaskId, WorkerId,
};

/// `12ms`, `12.345ms` or `3s`.
pub(super) fn moment(word: &str) -> Moment {
    let parsed = if let Some(millis) = word.strip_suffix("ms") {
        let (whole, part) = millis.split_once('.').unwrap_or((millis, "0"));
        let part = format!("{part:0<3}");
        whole
            .parse::<u64>()
            .ok()
            .zip(part.parse::<u64>().ok())
            .map(|(whole, part)| whole * 1000 + part)
    } else {
        word.strip_suffix('s')
            .and_then(|seconds| seconds.parse::<u64>().ok())
            .map(|seconds| seconds * 1_000_000)
    };
    Moment::from_micros(parsed.unwrap_or_else(|| panic!("not a time: {word}")))
}

fn duration(word: &str) -> Duration {
    moment(word).since(Moment::START)
}

fn number<T: std::str::FromStr>(word: &str, prefix: &str) -> T {
    word.strip_prefix(prefix)
        .and_then(|digits| digits.parse().ok())
        .unwrap_or_else(|| panic!("wanted {prefix}NUMBER, not {word:?}"))
}

fn worker(word: &str) -> WorkerId {
    WorkerId(number(word, "w"))
}

fn end(word: &str) -> End {
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    match name {
        "ok" => End::Ok,
        "vote" => End::Vote {
            ballot: number(value, ""),
        },
        "busy" if value.is_empty() => End::Busy { wait: Duration::ZERO },
        "busy" => End::Busy { wait: duration(value) },
        "permanent" => End::Permanent,
        "oversize" => End::Oversize,
        "transient" => End::Transient,
        "trap" if value.is_empty() => End::Trap { fingerprint: 0 },
        "trap" => End::Trap {
            fingerprint: number(value, ""),
        },
        "faulty" => End::Faulty,
        "unfit" => End::Unfit,
        "unstartable" => End::Unstartable,
        "lost" => End::Lost,
        "host" => End::Host {
            begun: value == "begun",
        },
        "stopped" => End::Stopped,
        _ => panic!("not an end: {word}"),
    }
}

/// Comma-separated ends.
pub(super) fn ends(word: &str) -> Vec<End> {
    word.split(',').map(end).collect()
}

fn attempt(word: &str) -> AttemptId {
    let (action, rest) = word.split_once('#').unwrap_or_else(|| panic!("not an attempt: {word}"));
    AttemptId {
        action: ActionId(number(action, "a")),
        number: number(rest, ""),
    }
}

fn failed_before(word: &str) -> FailedBefore {
    let (word, is_lost) = word.strip_suffix("/lost").map_or((word, false), |word| (word, true));
    let (count, id) = word.split_once('@').unwrap_or_else(|| panic!("not a failure: {word}"));
    FailedBefore {
        number: number(count, ""),
        worker: (!id.is_empty()).then(|| worker(id)),
        is_lost,
    }
}

/// An event as its `Display` writes it.
pub(super) fn event(words: &[&str]) -> Event {
    match words {
        ["kind", kind, pools] => Event::KindDefined {
            kind: KindId(number(kind, "k")),
            pools: number::<String>(pools, "pools=")
                .split(',')
                .filter(|pool| !pool.is_empty())
                .map(|pool| PoolId(number(pool, "p")))
                .collect(),
        },
        ["bucket", id, quota, costs @ ..] => Event::BucketDefined {
            bucket: BucketId(number(id, "b")),
            quota: self::quota(quota),
            costs: costs
                .iter()
                .map(|cost| {
                    let (kind, cost) = cost.split_once('=').unwrap_or_else(|| panic!("not a cost: {cost}"));
                    (KindId(number(kind, "k")), number(cost, ""))
                })
                .collect(),
        },
        ["report", id, which, bucket, remaining, resets] => Event::QuotaReported {
            worker: worker(id),
            attempt: attempt(which),
            bucket: BucketId(number(bucket, "b")),
            report: Report {
                remaining: number(remaining, "remaining="),
                resets_in: duration(&number::<String>(resets, "resets=")),
            },
        },
        ["join", id, pool, slots, rest @ ..] => Event::WorkerJoined {
            worker: worker(id),
            pool: PoolId(number(pool, "p")),
            slots: number(slots, "slots="),
            owner: rest
                .first()
                .and_then(|word| word.strip_prefix("owner="))
                .map(|owner| OwnerId(number(owner, "o"))),
            buckets: rest
                .iter()
                .filter(|word| !word.starts_with("owner="))
                .map(|bucket| BucketId(number(bucket, "b")))
                .collect(),
        },
        ["left", id] => Event::WorkerLeft { worker: worker(id) },
        ["drain", id] => Event::WorkerDrained { worker: worker(id) },
        ["readmit", id] => Event::WorkerReadmitted { worker: worker(id) },
        ["submit", action, rest @ ..] => Event::Submitted {
            action: ActionId(number(action, "a")),
            spec: spec(rest),
        },
        ["resubmit", action, failed, rest @ ..] => Event::Resubmitted {
            action: ActionId(number(action, "a")),
            spec: spec(rest),
            failed: number::<String>(failed, "failed=")
                .split(',')
                .map(failed_before)
                .collect(),
        },
        ["cancel", action] => Event::Cancelled {
            action: ActionId(number(action, "a")),
        },
        ["ended", which, id, how, rest @ ..] => Event::AttemptEnded {
            attempt: attempt(which),
            worker: worker(id),
            end: end(how),
            took: rest
                .first()
                .map_or(Duration::ZERO, |took| duration(&number::<String>(took, "took="))),
        },
        ["drain"] => Event::DrainBegun,
        ["tick"] => Event::Tick,
        _ => panic!("not an event: {}", words.join(" ")),
    }
}

/// `sliding=100/10s`, `fixed=100/10s`, `rate=10/1s/20` or `concurrent=4`.
fn quota(word: &str) -> Quota {
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    let parts: Vec<&str> = value.split('/').collect();
    match (name, parts.as_slice()) {
        ("sliding", [limit, per]) => Quota::Sliding {
            limit: plain(limit),
            per: duration(per),
        },
        ("fixed", [limit, per]) => Quota::Fixed {
            limit: plain(limit),
            per: duration(per),
        },
        ("rate", [limit, per, burst]) => Quota::Rate {
            limit: plain(limit),
            per: duration(per),
            burst: plain(burst),
        },
        ("concurrent", [limit]) => Quota::Concurrent { limit: plain(limit) },
        _ => panic!("not a quota: {word}"),
    }
}

/// What is left out is as usual: task 1, kind 0.
fn spec(words: &[&str]) -> Spec {
    let mut spec = Spec::usual(TaskId(1), KindId(0));
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("task", value) => spec.task = TaskId(number(value, "t")),
            ("kind", value) => spec.kind = KindId(number(value, "k")),
            ("priority", value) => spec.priority = number(value, ""),
            ("attempts", value) => spec.attempts = number(value, ""),
            ("deadline", value) => spec.deadline = moment(value),
            ("idempotent", _) => spec.idempotent = true,
            _ => panic!("not a part of a spec: {word}"),
        }
    }
    spec
}

macro_rules! policy_words {
    ($($name:ident: $parse:expr, $print:expr;)*) => {
        /// Changes the fields that are named, as `patience=5ms`.
        pub(super) fn set_policy(policy: &mut Policy, words: &[&str]) {
            for word in words {
                match word.split_once('=').unwrap_or((word, "")) {
                    $((stringify!($name), value) => policy.$name = ($parse)(value),)*
                    _ => panic!("not a part of a policy: {word}"),
                }
            }
        }

        /// Every field, as `set_policy` reads it.
        pub(super) fn policy_line(policy: &Policy) -> String {
            let mut line = "policy".to_owned();
            $(line += &format!(" {}={}", stringify!($name), ($print)(policy.$name));)*
            line
        }
    };
}

fn plain<T: std::str::FromStr>(word: &str) -> T {
    number(word, "")
}

fn shown(duration: Duration) -> String {
    (Moment::START + duration).to_string()
}

fn blame(word: &str) -> Blame {
    match word {
        "deferred" => Blame::Deferred,
        "no-worker" => Blame::NoWorker,
        row => Blame::InARow {
            failures: number(row, "row"),
        },
    }
}

fn blamed(blame: Blame) -> String {
    match blame {
        Blame::Deferred => "deferred".to_owned(),
        Blame::InARow { failures } => format!("row{failures}"),
        Blame::NoWorker => "no-worker".to_owned(),
    }
}

fn same<T: std::fmt::Display>(value: T) -> String {
    value.to_string()
}

policy_words! {
    attempts: plain, same;
    losses: plain, same;
    backoff_min: duration, shown;
    backoff_max: duration, shown;
    patience: duration, shown;
    suspect_after: plain, same;
    attempts_min: plain, same;
    attempts_max: plain, same;
    retries: plain, same;
    retries_earned: plain, same;
    blame: blame, blamed;
    quarantine_score: plain, same;
    systemic_after: duration, shown;
    probe_every: duration, shown;
    quarantine_min: duration, shown;
    quarantine_max: duration, shown;
    quarantine_jitter: plain, same;
    probation: plain, same;
    forgive_after: plain, same;
    evict_after: plain, same;
    quarantine_share: plain, same;
    damping_min: duration, shown;
    damping_max: duration, shown;
    host_min: duration, shown;
    host_max: duration, shown;
    busy_min: duration, shown;
    busy_open: duration, shown;
    busy_max: duration, shown;
    busy_row: plain, same;
    narrow_within: duration, shown;
    widen_after: plain, same;
    prefetch: plain, same;
    prefetch_below: duration, shown;
    hedge_min: duration, shown;
    hedge: plain, same;
    votes_max: plain, same;
    trusted_after: plain, same;
    check_min: plain, same;
    open_max: plain, same;
}
