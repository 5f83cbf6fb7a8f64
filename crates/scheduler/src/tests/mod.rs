//! The tests of the scheduler: scripts for single rules, histories for everything at once.
//!
//! - `script`: the small language, `check(script, expect)`.
//! - `cost`: what an event costs does not grow with the number of workers or pools.
//! - `rules_*`: one test for each rule, named after it.
//! - `watch`: what must be true after every event, told from events and commands alone; `integrity`: the same from inside.
//! - `history` and `fate`: random pools and random failures from a seed.
//! - `bad_work` and `failing_runs`: whole runs in which actions fail wherever they are tried, or nearly everything does.
//! - `account`: what a history's workers have with such services.
//! - `service` and `rules_quota`: services that count by clocks which are off, and buckets that must never be refused by one.
//!   How they count is `sim::service`.
//! - `mutations`: faults that are injected, which the histories have to detect.
//! - `world`: what is simulated for comparisons (`sim`), under every policy that is compared. `world_quota` and
//!   `world_services`: the same with quotas.

mod account;
mod bad_work;
mod cost;
mod failing_runs;
mod fate;
mod history;
mod integrity;
mod mutations;
mod rules_action;
mod rules_assign;
mod rules_blame;
mod rules_bucket;
mod rules_busy;
mod rules_cost;
mod rules_health;
mod rules_hedge;
mod rules_host;
mod rules_poison;
mod rules_quorum;
mod rules_quota;
mod rules_rest;
mod rules_restore;
mod rules_retry;
mod rules_stop;
mod rules_unfit;
mod rules_waiting;
mod script;
mod service;
mod verdicts;
mod watch;
mod words;
mod world;
mod world_quota;
mod world_services;
