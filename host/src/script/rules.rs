//! Selects the rule that answers an attempt.

use std::{fmt, time::Duration};

use bytes::Bytes;
use disperse_scheduler::End;

use super::shown;
use crate::inbox::Reported;

/// The properties of an attempt that rules match.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt<'a> {
    pub(crate) kind: &'a str,
    pub(crate) payload: &'a Bytes,
    /// The number of the attempt within its action, from 1.
    pub(crate) number: u32,
    /// The worker's name.
    pub(crate) worker: &'a str,
}

/// The end of an attempt by a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScriptedEnd {
    pub(crate) end: End,
    /// Empty unless `end` is [`End::Ok`].
    pub(crate) result: Bytes,
    /// The error, if any.
    pub(crate) message: String,
    /// The time it takes.
    pub(crate) after: Duration,
    /// The quotas that it reports.
    pub(crate) reports: Vec<Reported>,
}

/// The rules of a script, with the number of answers that each has left.
#[derive(Clone, Debug)]
pub(crate) struct Rules(Vec<Rule>);

#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// Its line in the script.
    pub(super) line: usize,
    pub(super) when: When,
    /// How many answers are left. None: unlimited.
    pub(super) left: Option<u32>,
    pub(super) after: Duration,
    pub(super) ending: Ending,
    /// The quotas that it reports.
    pub(super) reports: Vec<Reported>,
}

/// Which attempts a rule applies to: those that meet all given conditions.
#[derive(Clone, Debug)]
pub(super) struct When {
    pub(super) kind: Option<String>,
    pub(super) worker: Option<String>,
    pub(super) attempt: Option<u32>,
    pub(super) payload: Vec<Payload>,
}

/// The condition on a payload.
#[derive(Clone, Debug)]
pub(super) enum Payload {
    Is(Bytes),
    /// It is equal JSON.
    Json(serde_json::Value),
    Starts(Bytes),
    Contains(Bytes),
}

#[derive(Clone, Debug)]
pub(super) enum Ending {
    Result(Bytes),
    /// Returns the payload.
    Echo,
    Fails {
        end: End,
        message: String,
    },
}

impl Payload {
    fn holds(&self, payload: &[u8]) -> bool {
        match self {
            Self::Is(bytes) => payload == bytes,
            Self::Json(value) => {
                serde_json::from_slice::<serde_json::Value>(payload).is_ok_and(|found| found == *value)
            }
            Self::Starts(bytes) => payload.starts_with(bytes),
            Self::Contains(bytes) => memchr::memmem::find(payload, bytes).is_some(),
        }
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(bytes) => write!(f, "`payload` is {}", shown(bytes)),
            Self::Json(value) => write!(f, "`payload-json` is {}", shown(value.to_string().as_bytes())),
            Self::Starts(bytes) => write!(f, "`payload-starts` is {}", shown(bytes)),
            Self::Contains(bytes) => write!(f, "`payload-contains` is {}", shown(bytes)),
        }
    }
}

impl Rule {
    /// Calls `problem` with each condition that is not met, and returns the number of those that are.
    fn against(&self, attempt: &Attempt<'_>, problem: &mut dyn FnMut(fmt::Arguments<'_>)) -> usize {
        let When {
            kind,
            worker,
            attempt: number,
            payload,
        } = &self.when;
        let mut fits = 0;
        let mut weigh = |holds: bool, words: fmt::Arguments<'_>| {
            if holds {
                fits += 1;
            } else {
                problem(words);
            }
        };
        if let Some(kind) = kind {
            weigh(kind == attempt.kind, format_args!("its `kind` is `{kind}`"));
        }
        for payload in payload {
            weigh(payload.holds(attempt.payload), format_args!("its {payload}"));
        }
        if let Some(worker) = worker {
            weigh(worker == attempt.worker, format_args!("its `worker` is `{worker}`"));
        }
        if let Some(number) = number {
            weigh(*number == attempt.number, format_args!("its `attempt` is {number}"));
        }
        if self.left == Some(0) {
            problem(format_args!("its `times` is used up"));
        }
        fits
    }
}

impl Rules {
    pub(super) fn new(rules: Vec<Rule>) -> Self {
        Self(rules)
    }

    /// The end of this attempt.
    ///
    /// # Errors
    /// No rule answers it. Holds the attempt, and the rule that is closest.
    pub(crate) fn answer(&mut self, attempt: &Attempt<'_>) -> Result<ScriptedEnd, String> {
        let fits = |rule: &&mut Rule| {
            let mut fits = true;
            rule.against(attempt, &mut |_| fits = false);
            fits
        };
        let Some(rule) = self.0.iter_mut().find(fits) else {
            return Err(self.unanswered(attempt));
        };
        if let Some(left) = &mut rule.left {
            *left -= 1;
        }
        let (end, result, message) = match &rule.ending {
            Ending::Result(result) => (End::Ok, result.clone(), String::new()),
            Ending::Echo => (End::Ok, attempt.payload.clone(), String::new()),
            Ending::Fails { end, message } => (*end, Bytes::new(), message.clone()),
        };
        Ok(ScriptedEnd {
            end,
            result,
            message,
            after: rule.after,
            reports: rule.reports.clone(),
        })
    }

    fn unanswered(&self, attempt: &Attempt<'_>) -> String {
        let mut text = format!(
            "no [[answer]] fits attempt {} on `{}`\n  kind     {}\n  payload  {}\n",
            attempt.number,
            attempt.worker,
            attempt.kind,
            shown(attempt.payload)
        );
        let weighed = self.0.iter().map(|rule| {
            let mut problems = Vec::new();
            let fits = rule.against(attempt, &mut |problem| problems.push(problem.to_string()));
            (rule, (fits, problems))
        });
        // Of several that are equally close the first, which is tried first.
        let nearest = weighed.min_by_key(|(_, (fits, problems))| (problems.len(), std::cmp::Reverse(*fits)));
        match nearest {
            None => text.push_str("there is no [[answer]] at all"),
            Some((rule, (_, problems))) => {
                let problems = problems.join(", and ");
                text.push_str(&format!("nearest is the one in line {}, but {problems}", rule.line));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Script, *};

    const SCRIPT: &str = r#"
        [[answer]]
        kind = "a"
        attempt = 1
        times = 1
        fail = "no reply"
        after = "2s"

        [[answer]]
        kind = "a"
        payload-json = { x = 1, y = [true] }
        json = { z = "ok" }

        [[answer]]
        worker = "ann"
        payload-starts = "ab"
        payload-contains = "c"
        echo = true

        [[worker]]
        name = "ann"
    "#;

    #[test]
    fn first_matching_rule_that_is_not_used_up_answers() {
        let mut rules = Script::parse(SCRIPT, &|_| Ok(Bytes::new())).unwrap().rules;
        let mut ask = |kind: &str, payload: &str, number: u32, worker: &str| {
            let payload = Bytes::from(payload.to_owned());
            let scripted = rules.answer(&Attempt {
                kind,
                payload: &payload,
                number,
                worker,
            });
            scripted.map(|scripted| (scripted.end, scripted.result, scripted.after.as_secs()))
        };
        let json = r#"{"y":[true], "x":1}"#;
        assert_eq!(ask("a", json, 1, "ann"), Ok((End::Transient, Bytes::new(), 2)));
        assert_eq!(ask("a", json, 1, "ann"), Ok((End::Ok, r#"{"z":"ok"}"#.into(), 0)));
        assert_eq!(ask("b", "abc", 7, "ann"), Ok((End::Ok, "abc".into(), 0)));
        let error = ask("b", "ab", 1, "ann").unwrap_err();
        for part in [
            "attempt 1 on `ann`",
            "kind     b",
            "payload  ab",
            "nearest is the one in line 14",
            "is c",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        let error = ask("a", "{}", 1, "ann").unwrap_err();
        assert!(error.contains("line 2, but its `times` is used up"), "{error}");
    }
}
