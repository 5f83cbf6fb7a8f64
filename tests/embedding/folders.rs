//! Folders that a program grants to its guests.

use std::os::unix::fs::PermissionsExt;

use disperse::{Action, Component, Operation, Pool, StartError, Task};

use super::{FinishedRun, go, host};
use crate::support::{Folder, probe, snapshot};

fn prober() -> Component {
    Component::open(host(), probe()).unwrap()
}

#[test]
fn a_folder_is_the_same_for_all_pools_until_the_run_ends() {
    let folder = Folder::new();
    for name in ["work/in", "private"] {
        std::fs::create_dir_all(folder.path(name)).unwrap();
    }
    folder.file("work/in/p", "public");
    folder.file("private/s", "secret");
    let lines = [
        ("writer", "rename /w/in /w/old"),
        ("writer", "symlink ../private /w/in"),
        ("writer", "list /w/old"),
        ("reader", "list /in"),
        ("reader", "read /in/p"),
        ("reader", "read /in/s"),
    ];
    let (probe, folder) = (prober(), &folder);
    let finished = FinishedRun::by(move || {
        let operation = Operation::native([""], move |task: Task| async move {
            let mut said = Vec::new();
            for (kind, line) in lines {
                let answer = task.perform(Action::new(kind, line)).await;
                said.push(answer.map_or_else(
                    |_| "failed".to_owned(),
                    |answer| String::from_utf8_lossy(&answer).into_owned(),
                ));
            }
            Ok(said.join("|"))
        });
        let pool = |kind: &str| Pool::component(kind, &probe).kind(kind).workers(1).fresh(true);
        host()
            .run(operation)
            .pool(pool("writer").dir(format!("{}::/w:rw", folder.path("work"))))
            .pool(pool("reader").dir(format!("{}::/in", folder.path("work/in"))))
    });
    assert_eq!(finished.outputs(), ["||p|p|public|failed"]);
}

#[test]
fn guests_cannot_write_to_programs_or_compiled_code() {
    let folder = Folder::new();
    for name in ["open", "shut"] {
        std::fs::create_dir(folder.path(name)).unwrap();
        let tool = folder.file(&format!("{name}/tool"), "");
        std::fs::set_permissions(tool, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let grant = format!("{}::/w:rw", folder.path("open"));
    let start = |program: &str, grant: &str| {
        let writer = Pool::component("writer", &prober()).dir(grant);
        let runner = Pool::component("runner", &prober()).exec([program]);
        go(async {
            host()
                .run(Operation::lines("line"))
                .pool(writer)
                .pool(runner)
                .start()
                .map(drop)
        })
    };
    let refused = start(&folder.path("open/tool"), &grant).unwrap_err();
    assert!(
        matches!(&refused, StartError::Grant { pool, .. } if pool == "runner"),
        "{refused:?}"
    );
    snapshot("a_program_that_guests_could_exchange", &refused.to_string());
    start(&folder.path("shut/tool"), &grant).unwrap();
    start(&folder.path("open/tool"), &folder.path("open::/w")).unwrap();

    let kept = folder.path("open/kept");
    let keeper = disperse::Host::builder().cache_in(&kept).build().unwrap();
    let pool = Pool::component("writer", &Component::open(&keeper, probe()).unwrap()).dir(&grant);
    let refused = go(async { keeper.run(Operation::lines("line")).pool(pool).start().map(drop) }).unwrap_err();
    assert!(refused.to_string().contains(&kept), "{refused}");
}
