//! What a bucket says, rule by rule.

use std::time::Duration;

use super::words::moment;
use crate::{
    Moment,
    bucket::Bucket,
    quota::{Quota, Report},
};

const PER: Duration = Duration::from_secs(10);

fn fixed(limit: u32) -> Bucket {
    Bucket::new(Quota::Fixed { limit, per: PER })
}

fn ms(millis: u64) -> Moment {
    Moment::from_millis(millis)
}

fn said(remaining: u32, resets_in_ms: u64) -> Report {
    Report {
        remaining,
        resets_in: Duration::from_millis(resets_in_ms),
    }
}

#[test]
fn bucket_counts_a_unit_until_a_window_and_the_margin_after_its_answer() {
    let mut bucket = Bucket::new(Quota::Sliding { limit: 3, per: PER });
    bucket.debit(ms(0), 1, 2);
    assert_eq!(bucket.available(ms(60_000)), 1);
    assert_eq!(bucket.when(ms(0), 2), None);
    bucket.ended(ms(500), 1, true);
    // 10 s, 100 ms of margin, and up to the next multiple of an eighth of it.
    assert_eq!(bucket.when(ms(500), 2), Some(ms(10_600)));
    assert_eq!(bucket.available(moment("10599.999ms")), 1);
    assert_eq!(bucket.available(ms(10_600)), 3);
}

#[test]
fn bucket_refunds_unsent_attempts() {
    let mut bucket = fixed(3);
    bucket.debit(ms(0), 1, 3);
    bucket.ended(ms(1), 1, false);
    assert_eq!(bucket.available(ms(1)), 3);
    assert_eq!(bucket.view(ms(1)).used, 0);
}

#[test]
fn bucket_opens_again_at_a_named_reset_and_the_margin() {
    let mut bucket = fixed(100);
    bucket.debit(ms(0), 1, 100);
    assert!(bucket.report(ms(10), 1, said(0, 4_000)));
    bucket.ended(ms(10), 1, true);
    assert_eq!(bucket.when(ms(10), 100), Some(ms(4_110)));
    assert_eq!(bucket.available(ms(4_110)), 100);
    assert_eq!(bucket.view(ms(4_110)).resets, 1);
}

#[test]
fn bucket_subtracts_attempts_that_a_report_may_miss() {
    let mut bucket = fixed(100);
    bucket.debit(ms(0), 1, 10);
    bucket.debit(ms(0), 2, 5);
    assert!(bucket.report(ms(10), 2, said(60, 4_000)));
    assert_eq!(bucket.available(ms(10)), 50);
    bucket.ended(ms(10), 2, true);
    // It was counted before: the other's report has its units already.
    assert!(!bucket.report(ms(20), 1, said(65, 3_990)));
    bucket.ended(ms(20), 1, true);
    assert_eq!(bucket.available(ms(20)), 60);
    assert_eq!(bucket.expires(ms(20)), ms(4_010));
}

#[test]
fn bucket_subtracts_attempts_that_ended_since_the_reporter_was_dispatched() {
    let mut bucket = fixed(100);
    bucket.debit(ms(0), 1, 1);
    bucket.debit(ms(1), 2, 7);
    bucket.ended(ms(2), 2, true);
    assert!(bucket.report(ms(10), 1, said(99, 4_000)));
    assert_eq!(bucket.available(ms(10)), 92);
}

#[test]
fn bucket_counts_answers_that_may_be_in_the_next_window() {
    let mut bucket = fixed(10);
    bucket.debit(ms(0), 1, 1);
    // Counted at 0 s or at 3 s: it is over at some time from 2 s to 5 s.
    assert!(bucket.report(ms(3_000), 1, said(9, 2_000)));
    bucket.ended(ms(3_000), 1, true);
    bucket.debit(ms(3_500), 2, 4);
    bucket.ended(ms(3_600), 2, true);
    assert_eq!(bucket.available(ms(5_099)), 5);
    assert_eq!(bucket.available(ms(5_100)), 5);
    assert_eq!(bucket.view(ms(5_100)).wasted_last, 5);
}

#[test]
fn bucket_ignores_a_report_about_a_window_that_is_over() {
    let mut bucket = fixed(10);
    bucket.debit(ms(0), 1, 1);
    bucket.debit(ms(0), 2, 1);
    assert!(bucket.report(ms(10), 1, said(9, 9_900)));
    assert!(!bucket.report(ms(20), 2, said(0, 1_000)));
    assert_eq!(bucket.available(ms(20)), 8);
}

#[test]
fn bucket_believes_no_reset_that_is_further_away_than_a_window() {
    let mut bucket = fixed(10);
    bucket.debit(ms(0), 1, 1);
    assert!(bucket.report(ms(0), 1, said(0, 3_600_000)));
    bucket.ended(ms(0), 1, true);
    assert_eq!(bucket.when(ms(0), 1), Some(ms(10_200)));
}

#[test]
fn bucket_is_only_lowered_by_a_report_without_a_reset() {
    for quota in [
        Quota::Fixed { limit: 10, per: PER },
        Quota::Sliding { limit: 10, per: PER },
    ] {
        let mut bucket = Bucket::new(quota);
        bucket.debit(ms(0), 1, 4);
        assert!(bucket.report(ms(0), 1, said(8, 0)));
        assert_eq!(bucket.available(ms(0)), 6, "{quota}");
        bucket.ended(ms(0), 1, true);
        bucket.debit(ms(1), 2, 1);
        assert!(bucket.report(ms(1), 2, said(2, 0)));
        assert_eq!(bucket.available(ms(1)), 2, "{quota}");
        assert_eq!(bucket.expires(ms(1)), Moment::NEVER);
        assert_eq!(bucket.when(ms(1), 3), Some(ms(10_101)), "{quota}");
    }
}

#[test]
fn closed_bucket_offers_nothing() {
    let mut bucket = fixed(10);
    bucket.close(ms(70));
    bucket.close(ms(50));
    assert_eq!((bucket.available(ms(69)), bucket.available(ms(70))), (0, 10));
    assert_eq!(bucket.when(ms(1), 1), Some(ms(70)));
}

#[test]
fn bucket_of_a_rate_fills_from_the_answer_on() {
    let (limit, burst, per) = (10, 5, Duration::from_secs(1));
    let mut bucket = Bucket::new(Quota::Rate { limit, per, burst });
    bucket.debit(ms(0), 1, 5);
    assert_eq!(bucket.when(ms(900), 1), None);
    bucket.ended(ms(1_000), 1, true);
    assert_eq!(bucket.when(ms(1_000), 1), Some(ms(1_101)));
    assert_eq!(bucket.when(ms(1_000), 99), Some(ms(1_505)));
    assert_eq!(bucket.offers_until(ms(1_000), ms(2_010)), 10);
}

#[test]
fn bucket_offers_the_units_of_its_windows() {
    let mut bucket = fixed(100);
    assert_eq!(bucket.offers_until(ms(0), ms(10_099)), 100);
    assert_eq!(bucket.offers_until(ms(0), ms(10_100)), 200);
    bucket.debit(ms(0), 1, 60);
    assert!(bucket.report(ms(0), 1, said(40, 3_000)));
    assert_eq!(bucket.offers_until(ms(0), ms(3_099)), 40);
    assert_eq!(bucket.offers_until(ms(0), ms(13_100)), 240);
    assert_eq!(bucket.view(ms(0)).capacity, 100);
    assert_eq!(bucket.view(ms(3_000)).capacity, 200);
}

#[test]
fn bucket_remembers_a_million_units_in_a_few_thousand_entries() {
    let (limit, per) = (1_000_000, Duration::from_secs(86_400));
    let mut bucket = Bucket::new(Quota::Sliding { limit, per });
    for seq in 0..u64::from(limit) {
        bucket.debit(ms(seq * 86), seq, 1);
        bucket.ended(ms(seq * 86 + 40), seq, true);
    }
    assert!(bucket.entries() <= 4_200, "{}", bucket.entries());
    assert_eq!(bucket.available(ms(86_000_000)), 0);
}

#[test]
fn bucket_words_and_limits() {
    let (limit, per, burst) = (10, Duration::from_millis(1_500), 20);
    let quotas = [
        (Quota::Sliding { limit, per }, "sliding=10/1500ms"),
        (Quota::Fixed { limit, per }, "fixed=10/1500ms"),
        (Quota::Rate { limit, per, burst }, "rate=10/1500ms/20"),
        (Quota::Concurrent { limit }, "concurrent=10"),
    ];
    for (quota, word) in quotas {
        assert_eq!(quota.to_string(), word);
        assert_eq!(quota.check(), Ok(()));
    }
    let per = Duration::from_nanos(1);
    let wrong = Quota::Fixed { limit, per }.check().map_err(|wrong| wrong.to_string());
    assert_eq!(wrong, Err("per must be a microsecond or longer".to_owned()));
    assert!(Quota::Concurrent { limit: 0 }.check().is_err());
}
