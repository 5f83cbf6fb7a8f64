//! WASI programs as workers of an embedding program.

use disperse::{Component, Operation, Pool, StartError, Worker};

use super::{FinishedRun, go, host, worker};
use crate::support::{Folder, body, snapshot, tool_module};

fn program() -> Component {
    Component::open(host(), tool_module()).unwrap()
}

#[test]
fn program_is_called_with_arguments_files_and_statuses() {
    let lines = |pool: Pool| {
        let finished = FinishedRun::by(|| {
            host()
                .run(Operation::lines("job"))
                .input("a\nb\n".as_bytes())
                .pool(pool)
                .ordered(true)
        });
        finished.outputs().concat()
    };
    let pool = || Pool::component("tool", &program()).workers(1);
    assert_eq!(lines(pool().args(["args", "{}", "{kind}"])), "a|job\nb|job\n");
    let copy = pool()
        .args(["copy", "{file.txt}", "out"])
        .scratch(1 << 20)
        .result_file("out");
    assert_eq!(lines(copy), "a\nb\n");
    assert_eq!(
        lines(pool().args(["status", "10", "sat {}"]).ok_status([10, 20])),
        "sat a\nsat b\n"
    );
    let own = Pool::component("tool", &program()).args(["args", "pool"]);
    let own = own.worker(Worker::new("w").args(["args", "own", "{}"]));
    assert_eq!(lines(own), "own|a\nown|b\n");
}

#[test]
fn invalid_calls_are_errors_at_the_start() {
    let folder = Folder::new();
    let start = |pool: Pool| go(async { host().run(Operation::lines("job")).pool(pool).start().map(|_| ()) });
    let pool = || Pool::component("tool", &program()).workers(1);
    let said = [
        Pool::component("w", &worker("echo", body::ECHO)).args(["a"]),
        pool().result_file("../a"),
        pool().scratch(1),
        pool().ok_status([]),
        pool().args(["a\0"]),
    ]
    .map(|pool| {
        let error = start(pool).unwrap_err();
        assert!(matches!(error, StartError::Workers { .. }), "{error}");
        error.to_string()
    });
    snapshot("invalid_calls_are_errors_at_the_start", &said.join("\n"));
    let taken = pool()
        .scratch(1 << 20)
        .dir(format!("{}::/tmp", folder.root().display()));
    assert!(matches!(start(taken).unwrap_err(), StartError::Grant { .. }));
}
