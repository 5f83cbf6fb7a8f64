//! Worlds and policies that are compared again and again.

use super::{
    outcome::Figure,
    scenario::{Bad, Scenario, Span},
};
use crate::{Blame, Policy};

/// The policies that are compared, the default one first.
pub fn contenders() -> Vec<(&'static str, Policy)> {
    // As systems without a verdict are: so many attempts, whatever the work is like.
    let naive = |blame| Policy {
        blame,
        attempts: 4,
        ..Policy::default()
    };
    vec![
        ("deferred verdict", Policy::default()),
        ("five in a row", naive(Blame::InARow { failures: 5 })),
        ("no eviction", naive(Blame::NoWorker)),
    ]
}

/// A world with a name. By default it has none, and nothing is wrong in it.
#[derive(Clone, Debug, Default)]
pub struct Preset {
    /// In small letters, with hyphens.
    pub name: &'static str,
    /// What is wrong in it.
    pub what: &'static str,
    /// What it is looked at for.
    pub figures: &'static [Figure],
    /// What is simulated.
    pub world: Scenario,
    /// Which part of the workers may be quarantined for failing, instead of what the policies say.
    pub quarantine_share: Option<f64>,
}

impl Preset {
    fn new(name: &'static str, what: &'static str, figures: &'static [Figure], world: Scenario) -> Self {
        Self {
            name,
            what,
            figures,
            world,
            quarantine_share: None,
        }
    }
}

impl Preset {
    /// A policy as it is in this world.
    pub fn under(&self, policy: Policy) -> Policy {
        Policy {
            quarantine_share: self.quarantine_share.unwrap_or(policy.quarantine_share),
            ..policy
        }
    }
}

/// All of them.
///
/// Where workers are guilty their failures take 10 ms and not less: a hole that fails in no time is handed every action
/// once before it can be known, and then policies differ only in what follows.
pub fn presets() -> Vec<Preset> {
    const POISON: &[Figure] = &[Figure::Innocents, Figure::Makespan];
    let usual = Scenario::default;
    let poison = |workers| Scenario {
        workers,
        poison: 60,
        ..usual()
    };
    let guilty = || Scenario {
        failing: Span::of_millis(10, 10),
        ..usual()
    };
    let uncapped = |name, what, workers| Preset {
        quarantine_share: Some(1.0),
        ..Preset::new(name, what, POISON, poison(workers))
    };
    vec![
        Preset::new(
            "black-hole",
            "one worker fails everything at once",
            &[Figure::Attempts],
            Scenario {
                black_holes: 1,
                ..guilty()
            },
        ),
        Preset::new("poison", "60 actions in a row fail everywhere", POISON, poison(20)),
        uncapped(
            "poison-5",
            "the same with 5 workers, all of which may be quarantined",
            5,
        ),
        uncapped("poison-2", "the same with 2", 2),
        Preset::new(
            "one-attempt",
            "one of 4 workers fails everything at once, and actions have one attempt",
            &[Figure::Lost, Figure::Innocents],
            Scenario {
                workers: 4,
                actions: 1000,
                lengths: Span::of_millis(10, 30),
                black_holes: 1,
                attempts: 1,
                ..usual()
            },
        ),
        Preset::new(
            "half-bad",
            "2 of 4 workers fail everything at once",
            &[Figure::Lost, Figure::Attempts],
            Scenario {
                workers: 4,
                actions: 1200,
                black_holes: 2,
                ..usual()
            },
        ),
        Preset::new(
            "two-flaky",
            "every tenth attempt fails on 2 workers",
            &[Figure::Innocents, Figure::Makespan],
            Scenario {
                workers: 2,
                actions: 1500,
                lengths: Span::of_millis(10, 30),
                flake: 0.1,
                ..usual()
            },
        ),
        Preset::new(
            "hiccup",
            "everything that begins within 50 ms fails, on 4 workers",
            &[Figure::Lost, Figure::Innocents],
            Scenario {
                workers: 4,
                actions: 1500,
                lengths: Span::of_millis(10, 30),
                hiccups: vec![Span::of_millis(1000, 1050)],
                ..usual()
            },
        ),
        Preset::new(
            "hiccup-2",
            "the same for a second, on 2 workers",
            &[Figure::Lost, Figure::Innocents],
            Scenario {
                workers: 2,
                actions: 1000,
                lengths: Span::of_millis(10, 30),
                hiccups: vec![Span::of_millis(1000, 2000)],
                ..usual()
            },
        ),
        Preset::new(
            "flaky-fast",
            "two of five attempts fail, after 1 to 3 ms",
            &[Figure::Innocents, Figure::Makespan],
            Scenario {
                lengths: Span::of_millis(1, 3),
                actions: 20_000,
                flake: 0.4,
                ..usual()
            },
        ),
        Preset::new(
            "bad-kind",
            "one of 4 workers always fails one kind of three",
            &[Figure::Innocents, Figure::Makespan],
            Scenario {
                workers: 4,
                actions: 3000,
                lengths: Span::of_millis(10, 30),
                bad_at_one: 1,
                kinds: 3,
                ..guilty()
            },
        ),
        Preset::new(
            "poison-unfit",
            "60 actions spread over all make all 4 workers say that they are unfit",
            &[Figure::Done, Figure::Innocents],
            Scenario {
                workers: 4,
                actions: 1200,
                poison: 60,
                poison_spread: true,
                poison_unfit: true,
                ..usual()
            },
        ),
        Preset::new(
            "flaky",
            "every fifth attempt fails, on any worker",
            &[Figure::Innocents, Figure::Lost],
            Scenario { flake: 0.2, ..usual() },
        ),
        Preset::new(
            "three-bad",
            "3 of 20 workers fail six times in ten",
            &[Figure::Attempts],
            Scenario {
                bad: vec![Bad { count: 3, rate: 0.6 }],
                ..guilty()
            },
        ),
        Preset::new(
            "outage",
            "for 10 seconds everything fails",
            &[Figure::Innocents, Figure::Lost, Figure::Makespan],
            Scenario {
                outages: vec![Span::of_millis(10_000, 20_000)],
                ..usual()
            },
        ),
    ]
}
