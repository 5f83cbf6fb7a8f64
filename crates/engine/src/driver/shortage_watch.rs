//! When a run ends because the machine has none left of something.
//!
//! Attempts that the machine has nothing for are made again and again, and each worker rests longer and longer in between. A
//! shortage mostly passes: other programs end, and so do other attempts. It does not if every attempt ends so for a while and
//! no other one is going on that could give something back.

use std::time::Duration;

use disperse_protocol::inbox::Words;
use disperse_scheduler::{AttemptId, Class};

use super::state::Driver;

/// How long nothing but shortages may be seen while no attempt goes on. Arbitrary: ten rests of the longest sort, so that many
/// tries have failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// From when on an attempt is taken for one that goes on: then that is waited for. Longer than the start of a program waits.
const GOES_ON: Duration = Duration::from_secs(3);

/// How often it is found out whether one does, which takes a look at every attempt.
const LOOK: Duration = Duration::from_secs(1);

impl Driver<'_> {
    /// Takes note of how an attempt ended; `words`: what its worker says of it.
    pub(super) fn watch_shortage(&mut self, class: Class, words: Option<&Words>) {
        match class {
            Class::Host => {}
            // Says nothing of the machine.
            Class::Neutral => return,
            _ => {
                self.shortages.since = None;
                return;
            }
        }
        let now = self.now;
        let since = *self.shortages.since.get_or_insert(now);
        if self.draining || now < since + PATIENCE || now < self.shortages.looked + LOOK {
            return;
        }
        self.shortages.looked = now;
        // One that goes on ends when its time is up; what does not is one that waits as well.
        if self.goes_on() && now < since + PATIENCE + self.registry.longest_timeout() * 2 {
            return;
        }
        self.end_for_shortage(words.map_or_else(String::new, |words| words.message.clone()));
    }

    /// Ends the run: what it needs is not to be had.
    pub(super) fn end_for_shortage(&mut self, message: String) {
        self.shortages.fatal.get_or_insert(message);
        self.drain();
    }

    /// Whether some attempt has been with its worker for so long that it is being made.
    fn goes_on(&self) -> bool {
        let began_before = |attempt: &AttemptId| {
            let parked = self.actions.get(attempt.action);
            parked.is_some_and(|parked| parked.given + GOES_ON <= self.now)
        };
        let workers = self.scheduler.workers().filter(|worker| worker.in_flight > 0);
        workers
            .map(|worker| self.scheduler.attempts(worker.worker))
            .any(|attempts| attempts.iter().any(began_before))
    }
}
