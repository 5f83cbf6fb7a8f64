//! The `[[answer]]` table of a script, and the rule it defines.

use std::{num::NonZeroU32, path::PathBuf};

use disperse_scheduler::End;
use serde::Deserialize;

use disperse_engine::script::{Ending, Payload, Rule, When};

use super::worker::{ReadFile, ScriptedWorker};
use crate::{
    inbox::Reported,
    units::{Time, nearest},
};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct AnswerTable {
    // Which attempts it applies to.
    kind: Option<String>,
    payload: Option<String>,
    payload_json: Option<serde_json::Value>,
    payload_starts: Option<String>,
    payload_contains: Option<String>,
    attempt: Option<NonZeroU32>,
    worker: Option<String>,
    times: Option<NonZeroU32>,
    // The end of the attempts; exactly one of these.
    result: Option<String>,
    json: Option<serde_json::Value>,
    base64: Option<String>,
    file: Option<PathBuf>,
    echo: Option<bool>,
    fail: Option<String>,
    permanent: Option<String>,
    trap: Option<String>,
    busy: Option<Time>,
    unfit: Option<String>,
    lost: Option<bool>,
    // The time that they take.
    after: Option<Time>,
    /// The quotas that it reports, as guests do.
    #[serde(default)]
    report: Vec<ReportTable>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ReportTable {
    /// The name of the quota. None suffices for a worker with only one.
    #[serde(default)]
    name: String,
    remaining: u32,
    /// None: unknown.
    resets: Option<Time>,
}

/// The rule that an answer defines for these workers. `read` reads the files that it names.
///
/// # Errors
/// It is invalid; holds the reason.
pub(super) fn rule(
    table: AnswerTable,
    line: usize,
    workers: &[ScriptedWorker],
    read: &ReadFile<'_>,
) -> Result<Rule, String> {
    if let Some(kind) = &table.kind
        && workers.iter().all(|worker| !worker.kinds.is_empty())
    {
        let kinds: Vec<String> = workers.iter().flat_map(|worker| worker.kinds.clone()).collect();
        known("no worker serves the kind", kind, &kinds)?;
    }
    if let Some(name) = &table.worker {
        let names: Vec<String> = workers.iter().map(|worker| worker.name.clone()).collect();
        known("there is no worker", name, &names)?;
    }
    let reports = table.report.iter().map(|report| reported(report, &table, workers));
    let reports = reports.collect::<Result<_, _>>()?;
    let payload = [
        table.payload.clone().map(|text| Payload::Is(text.into())),
        table.payload_json.clone().map(Payload::Json),
        table.payload_starts.clone().map(|text| Payload::Starts(text.into())),
        table
            .payload_contains
            .clone()
            .map(|text| Payload::Contains(text.into())),
    ];
    Ok(Rule {
        line,
        when: When {
            kind: table.kind.clone(),
            worker: table.worker.clone(),
            attempt: table.attempt.map(NonZeroU32::get),
            payload: payload.into_iter().flatten().collect(),
        },
        left: table.times.map(NonZeroU32::get),
        after: table.after.map(Time::duration).unwrap_or_default(),
        reports,
        ending: ending(table, read)?,
    })
}

/// The report of a quota, which at least one of the rule's workers must have.
fn reported(report: &ReportTable, table: &AnswerTable, workers: &[ScriptedWorker]) -> Result<Reported, String> {
    let name = report.name.as_str();
    let has_it = |worker: &ScriptedWorker| match worker.quotas.as_slice() {
        [_] if name.is_empty() => true,
        own => own.iter().any(|quota| quota.name == name),
    };
    let named = table.worker.as_deref();
    if !workers
        .iter()
        .filter(|worker| named.is_none_or(|named| worker.name == named))
        .any(has_it)
    {
        return Err(match (name, named) {
            ("", None) => "its `report` has no `name`, and no worker has exactly one quota".to_owned(),
            ("", Some(worker)) => {
                format!("its `report` has no `name`, and the worker `{worker}` does not have exactly one quota")
            }
            (name, None) => format!("its `report` is of the quota `{name}`, which no worker has"),
            (name, Some(worker)) => {
                format!("its `report` is of the quota `{name}`, which the worker `{worker}` does not have")
            }
        });
    }
    Ok(Reported {
        bucket: name.into(),
        remaining: report.remaining,
        resets: report.resets.map(Time::duration).unwrap_or_default(),
    })
}

fn known(problem: &str, name: &str, names: &[String]) -> Result<(), String> {
    if names.iter().any(|known| known == name) {
        return Ok(());
    }
    Err(match nearest(name, names) {
        Some(near) => format!("{problem} `{name}`; did you mean `{near}`?"),
        None => format!("{problem} `{name}`; there are `{}`", names.join("`, `")),
    })
}

/// The end of a rule's attempts, which must be given exactly once.
fn ending(table: AnswerTable, read: &ReadFile<'_>) -> Result<Ending, String> {
    let fails = |end: End| move |message: String| Ending::Fails { end, message };
    let on = |name: &str, given: Option<bool>| match given {
        Some(false) => Err(format!("`{name} = false` has no effect; leave it out")),
        given => Ok(given.is_some()),
    };
    let lost = "the worker went away with it".to_owned();
    let ways = [
        ("result", table.result.map(|text| Ending::Result(text.into()))),
        ("json", table.json.map(|value| Ending::Result(value.to_string().into()))),
        ("base64", table.base64.map(|text| decoded(&text)).transpose()?),
        (
            "file",
            table.file.map(|file| read(&file).map(Ending::Result)).transpose()?,
        ),
        ("echo", on("echo", table.echo)?.then_some(Ending::Echo)),
        ("fail", table.fail.map(fails(End::Transient))),
        ("permanent", table.permanent.map(fails(End::Permanent))),
        (
            "trap",
            table.trap.map(|text| {
                let fingerprint = fingerprint(&text);
                fails(End::Trap { fingerprint })(format!("trapped: {text}"))
            }),
        ),
        (
            "busy",
            table
                .busy
                .map(|wait| fails(End::Busy { wait: wait.duration() })("busy".into())),
        ),
        ("unfit", table.unfit.map(fails(End::Unfit))),
        ("lost", on("lost", table.lost)?.then(|| fails(End::Lost)(lost))),
    ];
    let names = ways.each_ref().map(|(name, _)| *name).join("`, `");
    let mut given = ways.into_iter().filter_map(|(name, ending)| Some((name, ending?)));
    match (given.next(), given.next()) {
        (None, _) => Err(format!("it has no end of the attempt; give one of `{names}`")),
        (Some((one, _)), Some((other, _))) => Err(format!("`{one}` and `{other}` exclude each other")),
        (Some((_, ending)), None) => Ok(ending),
    }
}

fn decoded(text: &str) -> Result<Ending, String> {
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text);
    let bytes = bytes.map_err(|error| format!("invalid `base64`: {error}"))?;
    Ok(Ending::Result(bytes.into()))
}

/// The fingerprint of a trap by its text: equal for equal texts. FNV-1a; never 0, which stands for unknown.
fn fingerprint(text: &str) -> u64 {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, mix).max(1)
}
