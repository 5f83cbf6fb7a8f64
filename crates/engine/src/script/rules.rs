//! Selects the rule that answers an attempt.

use std::{fmt, time::Duration};

use bytes::Bytes;
use disperse_scheduler::End;

use super::shown;
use disperse_protocol::inbox::Reported;

/// The properties of an attempt that rules match.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    pub kind: &'a str,
    pub payload: &'a Bytes,
    /// The number of the attempt within its action, from 1.
    pub number: u32,
    /// The worker's name.
    pub worker: &'a str,
}

/// The end of an attempt by a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptedEnd {
    pub end: End,
    /// Empty unless `end` is [`End::Ok`].
    pub result: Bytes,
    /// The error, if any.
    pub message: String,
    /// The time it takes.
    pub after: Duration,
    /// The quotas that it reports.
    pub reports: Vec<Reported>,
}

/// The rules of a script, with the number of answers that each has left.
#[derive(Clone, Debug)]
pub struct Rules(Vec<Rule>);

#[derive(Clone, Debug)]
pub struct Rule {
    /// Its line in the script.
    pub line: usize,
    pub when: When,
    /// How many answers are left. None: unlimited.
    pub left: Option<u32>,
    pub after: Duration,
    pub ending: Ending,
    /// The quotas that it reports.
    pub reports: Vec<Reported>,
}

/// Which attempts a rule applies to: those that meet all given conditions.
#[derive(Clone, Debug, Default)]
pub struct When {
    pub kind: Option<String>,
    pub worker: Option<String>,
    pub attempt: Option<u32>,
    pub payload: Vec<Payload>,
}

/// The condition on a payload.
#[derive(Clone, Debug)]
pub enum Payload {
    Is(Bytes),
    /// It is equal JSON.
    Json(serde_json::Value),
    Starts(Bytes),
    Contains(Bytes),
}

#[derive(Clone, Debug)]
pub enum Ending {
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
    pub fn new(rules: Vec<Rule>) -> Self {
        Self(rules)
    }

    /// The end of this attempt.
    ///
    /// # Errors
    /// No rule answers it. Holds the attempt, and the rule that is closest.
    pub fn answer(&mut self, attempt: &Attempt<'_>) -> Result<ScriptedEnd, String> {
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
    use super::*;

    fn rule(line: usize, when: When, ending: Ending) -> Rule {
        Rule {
            line,
            when,
            left: None,
            after: Duration::ZERO,
            ending,
            reports: Vec::new(),
        }
    }

    fn rules() -> Rules {
        let fails = Rule {
            left: Some(1),
            after: Duration::from_secs(2),
            ..rule(
                2,
                When {
                    kind: Some("a".into()),
                    attempt: Some(1),
                    ..When::default()
                },
                Ending::Fails {
                    end: End::Transient,
                    message: "no reply".into(),
                },
            )
        };
        let json = When {
            kind: Some("a".into()),
            payload: vec![Payload::Json(serde_json::json!({ "x": 1, "y": [true] }))],
            ..When::default()
        };
        let echo = When {
            worker: Some("ann".into()),
            payload: vec![Payload::Starts("ab".into()), Payload::Contains("c".into())],
            ..When::default()
        };
        Rules::new(vec![
            fails,
            rule(9, json, Ending::Result(r#"{"z":"ok"}"#.into())),
            rule(14, echo, Ending::Echo),
        ])
    }

    #[test]
    fn first_matching_rule_that_is_not_used_up_answers() {
        let mut rules = rules();
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
