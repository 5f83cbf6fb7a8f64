//! Which pools serve which kind.

use std::sync::Arc;

use disperse_scheduler::{Event, KindId, PoolId};
use rustc_hash::FxHashMap;

/// How many kinds that no pool lists are told apart in routing and reports. A guest may make up any number of names; the
/// rest share one entry. Workers are told the name that was asked for, whichever it is.
const OTHERS_MAX: usize = 256;

/// Names of kinds and the pools that serve them.
///
/// An action goes to the pools that list its kind; if none does, to the pools that list no kinds; if there are none
/// either, nowhere.
pub(super) struct Routes {
    by_name: FxHashMap<Arc<str>, KindId>,
    names: Vec<Arc<str>>,
    /// The pools that list no kinds.
    open: Vec<PoolId>,
    listed: Vec<(KindId, Vec<PoolId>)>,
    /// Names in use that no pool lists.
    others: usize,
}

/// A kind and, the first time it is seen, what the scheduler has to know of it and what reports call it.
pub(super) struct Found {
    pub(super) kind: KindId,
    /// As it was asked for.
    pub(super) name: Arc<str>,
    pub(super) new: Option<(Event, Arc<str>)>,
}

/// The name under which further kinds are counted.
const OTHER: &str = "(other)";

impl Routes {
    /// From the kinds that each pool lists.
    pub(super) fn new<'a>(pools: impl Iterator<Item = &'a [String]>) -> Self {
        let mut routes = Self {
            by_name: FxHashMap::default(),
            names: Vec::new(),
            open: Vec::new(),
            listed: Vec::new(),
            others: 0,
        };
        for (pool, kinds) in (0..).map(PoolId).zip(pools) {
            if kinds.is_empty() {
                routes.open.push(pool);
            }
            for name in kinds {
                let kind = routes.number(name);
                match routes.listed.iter_mut().find(|(listed, _)| *listed == kind) {
                    Some((_, pools)) => pools.push(pool),
                    None => routes.listed.push((kind, vec![pool])),
                }
            }
        }
        routes
    }

    fn number(&mut self, name: &str) -> KindId {
        if let Some(kind) = self.by_name.get(name) {
            return *kind;
        }
        let kind = KindId(u32::try_from(self.names.len()).unwrap_or(u32::MAX));
        let name: Arc<str> = name.into();
        self.names.push(name.clone());
        self.by_name.insert(name, kind);
        kind
    }

    /// What the scheduler has to know before the first action.
    pub(super) fn definitions(&self) -> Vec<(Event, Arc<str>)> {
        self.listed
            .iter()
            .map(|(kind, pools)| {
                (
                    Event::KindDefined {
                        kind: *kind,
                        pools: pools.clone(),
                    },
                    self.name(*kind),
                )
            })
            .collect()
    }

    /// Finds a kind by name.
    pub(super) fn find(&mut self, asked: &str) -> Found {
        if let Some(kind) = self.by_name.get(asked) {
            return Found {
                kind: *kind,
                name: self.name(*kind),
                new: None,
            };
        }
        let label = if self.others < OTHERS_MAX { asked } else { OTHER };
        let known = self.by_name.contains_key(label);
        let kind = self.number(label);
        let pools = self.open.clone();
        let new = (!known).then(|| (Event::KindDefined { kind, pools }, self.name(kind)));
        self.others += usize::from(!known);
        Found {
            kind,
            name: asked.into(),
            new,
        }
    }

    fn name(&self, kind: KindId) -> Arc<str> {
        self.names.get(kind.0 as usize).cloned().unwrap_or_else(|| OTHER.into())
    }

    /// The pools that serve a kind.
    pub(super) fn pools(&self, kind: KindId) -> &[PoolId] {
        let listed = self.listed.iter().find(|(listed, _)| *listed == kind);
        listed.map_or(&self.open, |(_, pools)| pools)
    }

    /// The kinds that pools list, for people.
    pub(super) fn served(&self) -> String {
        let names: Vec<String> = self
            .listed
            .iter()
            .map(|(kind, _)| format!("`{}`", self.name(*kind)))
            .collect();
        if names.is_empty() {
            "none".into()
        } else {
            names.join(", ")
        }
    }

    /// Whether any pool would have served this kind.
    pub(super) fn is_served(&self, kind: KindId) -> bool {
        self.listed.iter().any(|(listed, _)| *listed == kind) || !self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_goes_to_those_who_list_it_and_else_to_those_who_list_nothing() {
        let pools = [vec!["a".to_owned(), "b".to_owned()], vec![], vec!["b".to_owned()]];
        let mut routes = Routes::new(pools.iter().map(Vec::as_slice));
        let defined = routes.definitions();
        assert_eq!(defined.len(), 2);
        let Event::KindDefined { pools, .. } = &defined[1].0 else {
            panic!()
        };
        assert_eq!(pools, &[PoolId(0), PoolId(2)]);
        assert!(routes.find("a").new.is_none());
        let Some((Event::KindDefined { pools, .. }, _)) = routes.find("new").new else {
            panic!()
        };
        assert_eq!(pools, [PoolId(1)]);
        assert!(routes.find("new").new.is_none());
    }

    #[test]
    fn made_up_names_do_not_fill_the_host() {
        let mut routes = Routes::new(std::iter::empty());
        for n in 0..10_000 {
            routes.find(&n.to_string());
        }
        assert!(routes.names.len() <= OTHERS_MAX + 1);
        let (one, another) = (routes.find("one more"), routes.find("another"));
        assert_eq!(one.kind, another.kind);
        assert_eq!((&*one.name, &*another.name), ("one more", "another"));
        assert_eq!(&*routes.name(one.kind), OTHER);
    }
}
