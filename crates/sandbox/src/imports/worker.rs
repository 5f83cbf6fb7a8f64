//! `attempt` and `quota`: information for and from a worker.

use std::time::Duration;

use wasmtime::{Result, StoreContextMut, component::LinkerInstance, format_err};

use super::{
    abi::{AttemptInfo, QuotaReport},
    calls::{Calls, Current},
    state::State,
};
use disperse_protocol::{inbox::Reported, logger::Level};

/// The longest name of a bucket, in bytes. Arbitrary.
const BUCKET_MAX: usize = 256;

pub(super) fn link_attempt(to: &mut LinkerInstance<'_, State>) -> Result<()> {
    to.func_wrap("current", |mut store: StoreContextMut<'_, State>, (): ()| {
        Calls::attribute(&mut store)?;
        let is_repeatable = store.data().env.logical.is_some();
        let worker = store.data_mut().worker()?;
        let Some(Current {
            attempt,
            action,
            deadline,
        }) = worker.current
        else {
            return Err(match worker.calls {
                None => format_err!("no attempt is going on while the worker is being started"),
                Some(_) => format_err!("it asked for its attempt outside of one, or after it returned its result"),
            });
        };
        let action = action.in_run(&worker.run);
        let info = match is_repeatable {
            // Only values that are the same on every worker.
            true => AttemptInfo {
                action,
                number: 1,
                remaining: u32::MAX,
                worker: "untrusted".to_owned(),
            },
            false => {
                let remaining = deadline.left().as_millis();
                AttemptInfo {
                    action,
                    number: attempt.number,
                    remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
                    worker: worker.name.to_string(),
                }
            }
        };
        Ok((info,))
    })
}

pub(super) fn link_quota(to: &mut LinkerInstance<'_, State>) -> Result<()> {
    to.func_wrap(
        "update",
        |mut store: StoreContextMut<'_, State>, (report,): (QuotaReport,)| {
            Calls::attribute(&mut store)?;
            let bucket = report.bucket.to_str(&store)?;
            let long = bucket.len();
            if long > BUCKET_MAX {
                return Err(format_err!("the name of a bucket has {long} bytes, of {BUCKET_MAX}"));
            }
            let bucket = bucket.into_owned();
            let QuotaReport { remaining, resets, .. } = report;
            let worker = store.data_mut().worker()?;
            if let Some(Current { attempt, .. }) = worker.current {
                let reported = Reported {
                    bucket: bucket.as_str().into(),
                    remaining,
                    resets: Duration::from_millis(resets.into()),
                };
                worker.reports.note(attempt, reported);
            }
            let text = format!("quota `{bucket}`: {remaining} left, resets in {resets} ms");
            store.data().log(Level::Debug, &text);
            Ok(())
        },
    )
}
