//! The record of an ended run.

use serde::{Deserialize, Serialize};

use super::protocol::{
    ActionState, ActionStatus, ControlResponse, Problem, Query, RunStatus, Status, VERSION, WorkerStatus,
};
use crate::units::nearest;

/// How many names an error lists. Arbitrary.
const LISTED_MAX: usize = 12;

/// All that `explain` can query of a run once it has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Archive {
    v: u32,
    at_ms: u64,
    /// The number of the newest action: no later one exists.
    last_action: u64,
    run: RunStatus,
    /// All workers, or the first ones if there are very many.
    workers: Vec<WorkerStatus>,
    /// The actions with details.
    actions: Vec<ActionStatus>,
}

impl Archive {
    pub fn new(
        at_ms: u64,
        last_action: u64,
        run: RunStatus,
        workers: Vec<WorkerStatus>,
        actions: Vec<ActionStatus>,
    ) -> Self {
        Self {
            v: VERSION,
            at_ms,
            last_action,
            run,
            workers,
            actions,
        }
    }

    /// The last answer that the run would have given.
    ///
    /// # Errors
    /// It is not in the record, or the run would have to be running.
    pub fn answer(&self, query: &Query) -> Result<ControlResponse, Problem> {
        let status = match query {
            Query::Run => Status::Run(Box::new(self.run.clone())),
            Query::Action { id } => match self.actions.iter().find(|action| action.id == *id) {
                Some(action) => Status::Action(Box::new(action.clone())),
                None => Status::Action(Box::new(forgotten(*id, self.last_action)?)),
            },
            Query::Worker { name } => {
                let at = find_worker(name, self.workers.iter().map(|worker| worker.id.as_str()))?;
                Status::Worker(Box::new(self.workers.get(at).cloned().unwrap_or_default()))
            }
            Query::Readmit { .. } | Query::Workers { .. } | Query::Drain { .. } => {
                return Err(Problem::new(format!("the run {} has ended", self.run.id)));
            }
        };
        Ok(ControlResponse {
            run: self.run.id.clone(),
            ended: true,
            at_ms: self.at_ms,
            status,
        })
    }
}

/// The status of an action without details.
///
/// # Errors
/// There was no such action.
pub fn forgotten(id: u64, last: u64) -> Result<ActionStatus, Problem> {
    if id == 0 || id > last {
        let known = match last {
            0 => "there are none yet".to_owned(),
            _ => format!("they are numbered from 1 to {last}"),
        };
        return Err(Problem::new(format!("there is no action {id}")).hint(format!(
            "{known}; -v and `--format json` show the numbers of those that fail"
        )));
    }
    Ok(ActionStatus {
        id,
        task: 0,
        kind: String::new(),
        state: ActionState::Forgotten,
        attempts: Vec::new(),
    })
}

/// The index of the worker with this name, or with this part after the `/` if only one worker has it.
fn place_of<'a>(asked: &str, names: impl Iterator<Item = &'a str> + Clone) -> Option<usize> {
    if let Some(at) = names.clone().position(|name| name == asked) {
        return Some(at);
    }
    let mut short = names
        .enumerate()
        .filter(|(_, name)| name.rsplit_once('/').is_some_and(|(_, own)| own == asked));
    match (short.next(), short.next()) {
        (Some((at, _)), None) => Some(at),
        _ => None,
    }
}

/// The index of the worker with this name.
///
/// # Errors
/// No worker has it, or more than one.
pub fn find_worker<'a>(asked: &str, names: impl Iterator<Item = &'a str> + Clone) -> Result<usize, Problem> {
    place_of(asked, names.clone()).ok_or_else(|| unknown_worker(asked, names))
}

/// The error for an unknown name, with the similar or all names.
fn unknown_worker<'a>(asked: &str, names: impl Iterator<Item = &'a str>) -> Problem {
    let names: Vec<String> = names.map(str::to_owned).collect();
    let own = |name: &String| {
        name.rsplit_once('/')
            .map_or_else(|| name.clone(), |(_, own)| own.to_owned())
    };
    let called: Vec<&String> = names.iter().filter(|name| own(name) == asked).collect();
    if called.len() > 1 {
        let called: Vec<String> = called
            .into_iter()
            .take(LISTED_MAX)
            .map(|name| format!("`{name}`"))
            .collect();
        return Problem::new(format!("several workers are called `{asked}`"))
            .hint(format!("choose one of {}", called.join(", ")));
    }
    let problem = Problem::new(format!("there is no worker `{asked}`"));
    let near = nearest(asked, &names).map(str::to_owned).or_else(|| {
        let owns: Vec<String> = names.iter().map(own).collect();
        let near = nearest(asked, &owns)?;
        names.iter().find(|name| own(name) == near).cloned()
    });
    match near {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => {
            let more = names.len().saturating_sub(LISTED_MAX);
            let listed: Vec<String> = names.iter().take(LISTED_MAX).map(|name| format!("`{name}`")).collect();
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            problem.hint(format!("there are {}{more}", listed.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["mixed/steady", "mixed/broken", "other/steady", "other/1"];

    #[test]
    fn worker_is_found_by_unique_part_of_its_name() {
        let find = |name| find_worker(name, NAMES.into_iter());
        assert_eq!(find("mixed/broken"), Ok(1));
        assert_eq!(find("broken"), Ok(1));
        assert_eq!(find("1"), Ok(3));
        let several = find("steady").unwrap_err();
        assert_eq!(several.hint.unwrap(), "choose one of `mixed/steady`, `other/steady`");
        assert_eq!(
            find("mixed/brokn").unwrap_err().hint.unwrap(),
            "did you mean `mixed/broken`?"
        );
        assert_eq!(
            find("brokne").unwrap_err().hint.unwrap(),
            "did you mean `mixed/broken`?"
        );
        let unlike = find("zzzzzzzz").unwrap_err();
        assert_eq!(unlike.what, "there is no worker `zzzzzzzz`");
        assert!(unlike.hint.unwrap().contains("`other/1`"));
    }

    #[test]
    fn action_that_never_existed_is_a_problem() {
        assert_eq!(forgotten(3, 3).unwrap().state, ActionState::Forgotten);
        assert!(forgotten(4, 3).unwrap_err().hint.unwrap().contains("from 1 to 3"));
        assert!(forgotten(0, 3).is_err());
        assert!(forgotten(1, 0).is_err());
    }
}
