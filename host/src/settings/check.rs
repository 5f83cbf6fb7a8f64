//! Checks of a manifest as a whole.

use std::collections::BTreeSet;

use super::{
    check_quotas,
    manifest::{Manifest, Pool, Worker},
};
use crate::{limits::WORKERS_MAX, text::is_printable};

/// The most pools of a manifest. Arbitrary: every pool has a component and at least one worker of its own.
const POOLS_MAX: usize = 1000;

/// The longest name, in characters. Arbitrary: it fits into a line of a terminal.
const NAME_MAX: usize = 128;

/// Checks the conditions that the types of a manifest cannot express.
///
/// # Errors
/// The first condition that does not hold.
pub(super) fn check(manifest: &Manifest) -> Result<(), String> {
    manifest.limits.check().map_err(|error| error.to_string())?;
    if manifest.pool.len() > POOLS_MAX {
        return Err(format!("there are more than {POOLS_MAX} pools"));
    }
    let mut names = BTreeSet::new();
    let mut workers = 0usize;
    for one in &manifest.pool {
        pool(one)?;
        if !names.insert(&one.name) {
            return Err(format!("two pools are named `{}`", one.name));
        }
        workers = workers
            .saturating_add(one.worker.len())
            .saturating_add(one.workers.unwrap_or(0));
        if workers > WORKERS_MAX as usize {
            return Err(format!("the pool `{}` makes more than {WORKERS_MAX} workers", one.name));
        }
    }
    Ok(())
}

fn pool(pool: &Pool) -> Result<(), String> {
    name("a pool", &pool.name)?;
    let own = |worker: &Worker| {
        name(&format!("a worker of the pool `{}`", pool.name), &worker.name)?;
        for owned in worker.account.iter().chain(&worker.owner) {
            name(&format!("an account or owner in the pool `{}`", pool.name), owned)?;
        }
        Ok::<_, String>(())
    };
    pool.worker.iter().try_for_each(own)?;
    for kind in &pool.kinds {
        name(&format!("a kind of the pool `{}`", pool.name), kind)?;
    }
    pool.limits.check().map_err(|error| error.to_string())?;
    let whole = [
        ("stack", pool.limits.stack.is_some()),
        ("actions-in-flight", pool.limits.actions_in_flight.is_some()),
    ];
    if let Some((key, _)) = whole.into_iter().find(|(_, given)| *given) {
        return Err(format!(
            "`{key}` is in the limits of the pool `{}`, but holds for the whole run; write it in [limits]",
            pool.name
        ));
    }
    if pool.workers == Some(0) && pool.worker.is_empty() {
        return Err(format!("the pool `{}` has no workers", pool.name));
    }
    let spenders = pool.worker.iter().map(Worker::spender);
    check_quotas((&format!("the pool `{}`", pool.name), &pool.quota), spenders, |name| {
        format!("the worker `{}/{name}`", pool.name)
    })?;
    // The workers of `workers = N` are named by numbers, from 1.
    let counted = |name: &str| name.parse().is_ok_and(|n| (1..=pool.workers.unwrap_or(0)).contains(&n));
    let mut workers = BTreeSet::new();
    let mut listed = pool.worker.iter();
    match listed.find(|worker| counted(&worker.name) || !workers.insert(&worker.name)) {
        None => Ok(()),
        Some(twice) => Err(format!(
            "two workers of the pool `{}` are named `{}`",
            pool.name, twice.name
        )),
    }
}

/// Checks that a name can be shown in one line. `what` describes its bearer.
///
/// # Errors
/// It is longer than 128 characters, or has an unprintable character.
fn name(what: &str, name: &str) -> Result<(), String> {
    if name.chars().count() > NAME_MAX {
        let shown: String = name.chars().take(NAME_MAX / 4).collect();
        return Err(format!(
            "the name of {what} is longer than {NAME_MAX} characters: `{shown}…`"
        ));
    }
    match name.chars().find(|c| !is_printable(*c)) {
        None => Ok(()),
        Some(c) => Err(format!(
            "the name of {what} has an unprintable character, {}: `{}`",
            c.escape_default(),
            name.escape_default()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOL: &str = "[[pool]]\nname = \"a\"\ncomponent = \"a.wasm\"\n";

    fn error(text: &str) -> String {
        Manifest::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn pool_names_are_unique_and_pools_have_workers() {
        assert!(Manifest::parse(&format!("{POOL}{POOL}")).is_err());
        assert!(Manifest::parse(&format!("{POOL}workers = 0\n")).is_err());
    }

    #[test]
    fn workers_of_all_pools_together_and_pools_are_bounded() {
        assert!(Manifest::parse(&format!("{POOL}workers = 50000\n")).is_ok());
        for count in ["50001", "9223372036854775807", "18446744073709551615"] {
            assert!(error(&format!("{POOL}workers = {count}\n")).contains("more than 50000 workers"));
        }
        let other = POOL.replace("\"a\"", "\"b\"");
        let both = format!("{POOL}workers = 30000\n{other}workers = 30000\n");
        assert!(
            error(&both).contains("`b` makes more than 50000 workers"),
            "{}",
            error(&both)
        );
        let many: String = (0..=POOLS_MAX)
            .map(|n| POOL.replace("\"a\"", &format!("\"{n}\"")))
            .collect();
        assert!(error(&many).contains("more than 1000 pools"));
    }

    #[test]
    fn names_are_printable_and_short() {
        for (key, what) in [
            ("[[pool]]\ncomponent = \"a.wasm\"\nname", "a pool"),
            (&format!("{POOL}[[pool.worker]]\nname"), "a worker of the pool `a`"),
            (&format!("{POOL}[[pool.worker]]\nname = \"w\"\naccount"), "an account"),
            (
                &format!("{POOL}[[pool.worker]]\nname = \"w\"\nowner"),
                "an account or owner",
            ),
        ] {
            for c in ["\\n", "\\u001b", "\\u009b", "\\u202e", "\\u200b"] {
                let found = error(&format!("{key} = \"x{c}y\"\n"));
                assert!(found.contains(what) && found.contains("unprintable"), "{found}");
                assert!(found.chars().all(is_printable), "{found}");
            }
            assert!(Manifest::parse(&format!("{key} = \"{}\"\n", "ü".repeat(128))).is_ok());
            assert!(error(&format!("{key} = \"{}\"\n", "ü".repeat(129))).contains("longer than 128"));
        }
        assert!(error(&format!("{POOL}kinds = [\"a\\u0007\"]\n")).contains("a kind of the pool `a`"));
    }
}
