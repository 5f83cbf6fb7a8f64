//! The rows of `--joblog`: first the columns of GNU parallel, then ours.

use disperse_scheduler::Class;

use crate::{inbox::AttemptReport, text::plain_line};

pub(super) const HEADER: &str = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\t\
                                 Action\tAttempt\tOutcome\tFuel\n";

/// The row of an attempt. `seq`: its line or task.
pub(super) fn row(seq: u64, report: &AttemptReport) -> String {
    let (seconds, millis) = (report.began_unix_ms / 1000, report.began_unix_ms % 1000);
    format!(
        "{seq}\t{worker}\t{seconds}.{millis:03}\t{runtime:.6}\t{sent}\t{received}\t{status}\t0\t{kind}\t{action}\t{number}\t{class}\t{fuel}\n",
        worker = plain_line(&report.worker),
        runtime = report.used.wall.as_secs_f64(),
        sent = report.sent,
        received = report.received,
        status = u8::from(report.class != Class::Ok),
        kind = plain_line(&report.kind),
        action = report.attempt.action,
        number = report.attempt.number,
        class = report.class,
        fuel = report.used.fuel,
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::inbox::{AttemptNumber, Used};

    #[test]
    fn row_has_a_field_for_each_column() {
        let report = AttemptReport {
            attempt: AttemptNumber { action: 7, number: 2 },
            task: 3,
            worker: "w/1".into(),
            kind: "a\tb\n".into(),
            class: Class::Trap,
            sent: 10,
            received: 0,
            began_unix_ms: 1_700_000_000_009,
            used: Used {
                fuel: 99,
                wall: Duration::from_micros(1500),
                memory: 0,
            },
        };
        let row = row(3, &report);
        assert_eq!(
            row,
            "3\tw/1\t1700000000.009\t0.001500\t10\t0\t1\t0\ta\\tb\\n\t7\t2\ttrap\t99\n"
        );
        assert_eq!(row.split('\t').count(), HEADER.split('\t').count());
    }
}
