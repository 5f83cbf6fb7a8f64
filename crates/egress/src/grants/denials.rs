//! The denials of a worker: requests without a grant, and resources that the machine lacked.

use std::{
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use disperse_protocol::{inbox::Denied, limits::Shortage, text::one_line};

/// How many distinct denials are kept as text between two reads, and how long each may be. The rest is counted.
const WORDS_MAX: usize = 5;
const LENGTH_MAX: usize = 400;

/// Records what one worker is denied, from all its imports. **Its texts contain no secret.**
#[derive(Debug, Default)]
pub struct Denials {
    denied: Mutex<Denied>,
    /// The last resource that the machine lacked, and the error.
    shortage: Mutex<Option<(Shortage, String)>>,
    /// Whether there is one. Read after each attempt.
    is_short: AtomicBool,
}

impl Denials {
    pub fn note(&self, what: &str) {
        let mut denied = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
        denied.count += 1;
        if denied.what.len() < WORDS_MAX {
            // Some contain a guest's own text, and these are for a terminal.
            let what = one_line(what, LENGTH_MAX);
            if !denied.what.contains(&what) {
                denied.what.push(what);
            }
        }
    }

    /// Records that the machine lacked a resource. A guest may handle that; if its attempt fails, it is not charged
    /// with it.
    pub fn note_shortage(&self, shortage: Shortage, error: &io::Error) {
        let mut noted = self.shortage.lock().unwrap_or_else(PoisonError::into_inner);
        *noted = Some((shortage, error.to_string()));
        self.is_short.store(true, Ordering::Release);
    }

    /// The resource that the machine lacked since the last read.
    pub fn take_shortage(&self) -> Option<(Shortage, String)> {
        if !self.is_short.load(Ordering::Acquire) {
            return None;
        }
        let mut noted = self.shortage.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_short.store(false, Ordering::Release);
        noted.take()
    }

    /// The denials since the last read; none if there were none.
    pub fn take(&self) -> Option<Box<Denied>> {
        let mut denied = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
        (denied.count > 0).then(|| Box::new(std::mem::take(&mut *denied)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortage_is_reported_once() {
        let denials = Denials::default();
        assert_eq!(denials.take_shortage(), None);
        let error = io::Error::from(rustix::io::Errno::MFILE);
        denials.note_shortage(Shortage::Files, &error);
        assert_eq!(denials.take_shortage(), Some((Shortage::Files, error.to_string())));
        assert_eq!(denials.take_shortage(), None);
    }

    #[test]
    fn denials_are_counted_and_each_is_kept_once() {
        let denials = Denials::default();
        assert_eq!(denials.take(), None);
        for what in ["a", "b\x1b[2J", "a", "c", "d", "e", "f", "g"] {
            denials.note(what);
        }
        let denied = denials.take().unwrap();
        assert_eq!(denied.count, 8);
        assert_eq!(denied.what, ["a", "b [2J", "c", "d", "e"]);
        assert_eq!(denials.take(), None);
        denials.note(&"x".repeat(10_000));
        assert_eq!(denials.take().unwrap().what, ["x".repeat(LENGTH_MAX)]);
    }
}
