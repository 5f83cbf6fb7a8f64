//! An alternative of a user, if it is installed: disperse.js, from a built checkout that the user names.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use crate::{
    host::{Host, Load},
    rows::{Setting, best},
    table::{Table, Target},
};

/// Shape, tasks, actions for each, workers, and how many times faster the host should be.
const SHAPES: [(&str, u32, u32, u32, f64); 3] = [
    ("many tasks", 64, 10_000, 8, 4.0),
    ("one task", 1, 100_000, 1, 1.2),
    ("tasks of ten", 10_000, 10, 8, 1.5),
];

/// Measures the same shapes on both, alternately. Without a checkout the rows name the flag.
pub(crate) fn disperse_js(host: &Host, setting: &Setting, table: &mut Table) -> Result<()> {
    for (shape, tasks, actions, workers, times) in SHAPES {
        let name = format!("disperse.js, {shape}");
        let Some(checkout) = &setting.disperse_js else {
            let told = "name a checkout with --disperse-js".to_owned();
            table.add(&name, "not measured".to_owned(), told, 0.0, Target::Told);
            continue;
        };
        let (tasks, actions) = match tasks {
            10_000 => (setting.amount(tasks), actions),
            _ => (tasks, setting.amount(actions)),
        };
        let workers = workers.to_string();
        let load = Load {
            flags: &["--workers", &workers, "--tasks", "64"],
            tasks,
            actions,
            kind: "echo",
            number: 0,
            is_recorded: false,
        };
        let [peer, us] = best(
            setting.rounds(),
            [&mut || node(checkout, [tasks, actions], &workers), &mut || {
                Ok(host.run(load)?.us())
            }],
        )?;
        table.add(
            &name,
            format!("{us:.2} us"),
            format!("disperse.js {peer:.2} us"),
            peer / us,
            Target::AtLeast(times),
        );
    }
    Ok(())
}

fn node(checkout: &Path, numbers: [u32; 2], workers: &str) -> Result<f64> {
    let output = Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/peers/disperse-js.cjs"))
        .arg(checkout)
        .args(numbers.map(|number| number.to_string()))
        .arg(workers)
        .output()
        .context("disperse.js needs node")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "disperse.js failed: {stderr}");
    let us = String::from_utf8_lossy(&output.stdout);
    us.trim().parse().context("disperse.js gave no number")
}
