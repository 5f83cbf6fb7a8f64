//! Worlds and policies that are compared again and again.

use super::{
    outcome::Figure,
    world::{Bad, Span, World},
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
        ("no eviction", naive(Blame::Nobody)),
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
    pub world: World,
    /// Which part of the workers may be quarantined for failing, instead of what the policies say.
    pub quarantine_share: Option<f64>,
}

impl Preset {
    fn new(name: &'static str, what: &'static str, figures: &'static [Figure], world: World) -> Self {
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
/// once before anybody can know, and then policies differ only in what follows.
pub fn presets() -> Vec<Preset> {
    const POISON: &[Figure] = &[Figure::Innocents, Figure::Makespan];
    let usual = World::default;
    let poison = |workers| World {
        workers,
        poison: 60,
        ..usual()
    };
    let guilty = || World {
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
            World {
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
            "poison-unfit",
            "60 actions spread over all make all 4 workers say that they are unfit",
            &[Figure::Done, Figure::Innocents],
            World {
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
            "every fifth attempt fails, whoever makes it",
            &[Figure::Innocents, Figure::Lost],
            World { flake: 0.2, ..usual() },
        ),
        Preset::new(
            "three-bad",
            "3 of 20 workers fail six times in ten",
            &[Figure::Attempts],
            World {
                bad: vec![Bad { count: 3, rate: 0.6 }],
                ..guilty()
            },
        ),
        Preset::new(
            "outage",
            "for 10 seconds everything fails",
            &[Figure::Innocents, Figure::Lost, Figure::Makespan],
            World {
                outages: vec![Span::of_millis(10_000, 20_000)],
                ..usual()
            },
        ),
    ]
}
