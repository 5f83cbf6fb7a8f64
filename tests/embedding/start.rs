//! Errors before anything runs.

use std::time::Duration;

use disperse::{
    Action, Attempt, Component, ComponentError, Control, ControlError, Event, Failure, Host, HostError, Limits,
    Operation, Policy, Pool, Quota, Refusal, Run, RunBuilder, RunError, StartError, Summary, Task, Worker,
};

use super::{go, host, square};
use crate::support::{Texts, body, snapshot};

fn lines() -> RunBuilder {
    host().run(Operation::lines("line"))
}

fn squares() -> Pool {
    Pool::component("squares", &square())
}

/// An error with its sources, as anyhow prints it. None says what its source says.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    assert!(next.is_some(), "{text}");
    while let Some(source) = next {
        assert!(!text.contains(&source.to_string()), "{source} is said twice");
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

/// The error of starting a run.
fn refused(run: RunBuilder) -> String {
    go(async { run.start().expect_err("it cannot start").to_string() })
}

#[test]
fn unusable_component_is_an_error_with_the_reason() {
    let error = Component::new(host(), "words", b"hello").unwrap_err();
    assert!(matches!(error, ComponentError::Contract { .. }), "{error:?}");
    let texts = Texts::new("components_that_cannot_be_used");
    texts.add("words", &chain(&error));
    let error = Component::open(host(), "no/such.wasm").unwrap_err();
    assert!(matches!(error, ComponentError::Read { .. }), "{error:?}");
    texts.add("a file that is not there", &chain(&error));
    let error = Component::new(host(), "cut", b"\0asm\x0d\0\x01\0\xff").unwrap_err();
    texts.add("a file that is cut short", &chain(&error));
    texts.match_snapshot();
}

#[test]
fn roles_are_not_mixed_up() {
    let said = refused(host().run(Operation::component(&square())).pool(squares()));
    let other = Host::builder().build().unwrap();
    let also = refused(other.run(Operation::lines("line")).pool(squares()));
    snapshot("roles_are_not_mixed_up", &format!("{said}\n{also}"));
}

#[test]
fn invalid_pools_are_errors() {
    let mut said = vec![refused(lines()), refused(lines().pool(squares()).pool(squares()))];
    let native = || Pool::native("local", |_: Attempt| async { Ok("") });
    let twice = native().workers(1).worker(Worker::new("1"));
    for pool in [
        twice,
        squares().workers(0),
        squares().workers(usize::MAX),
        squares().concurrency(0),
        squares().concurrency(2),
        squares().http("ftp://example.com"),
        squares().dir("/no/such/folder"),
        squares().exec(["relative"]),
        squares().env("", "x"),
        squares().secret("A B", "hidden"),
        squares().secret("A", ""),
        squares().secret("A", "hidden").env("A", "x"),
        squares().quota(Quota::window(0, Duration::from_secs(1))),
        squares().quota(hourly()).quota(hourly()),
        squares().worker(Worker::new("w").quota(Quota::concurrent(0))),
        squares().limits(Limits::default().result_size(u64::MAX)),
        native().concurrency(u32::MAX),
        native().untrusted(true),
        squares().untrusted(true).env("A", "x"),
        squares().untrusted(true).workers(1).concurrency(2),
        squares().limits(Limits::default().fuel(0)),
        native().env("A", "x"),
        native().worker(Worker::new("w").secret("A", "hidden")),
    ] {
        said.push(refused(lines().pool(pool)));
    }
    let said = said.join("\n");
    assert!(!said.contains("hidden"));
    snapshot("invalid_pools_are_errors", &said);
    // The order of these settings does not matter.
    let both = squares().quota(hourly()).quota(Quota::concurrent(4));
    go(async { drop(lines().pool(both).start().unwrap()) });
}

fn hourly() -> Quota {
    Quota::window(5000, Duration::from_secs(3600))
}

#[test]
fn invalid_policy_is_an_error_that_names_the_methods() {
    let policy = Policy::default;
    let said = [
        policy().attempts(0),
        policy().quarantine_score(-1.0),
        policy().hedge(2.0),
        policy().evict_after(0),
    ]
    .map(|policy| refused(lines().pool(squares()).policy(policy)));
    snapshot("invalid_policy_is_an_error_that_names_the_methods", &said.join("\n"));
}

#[test]
fn debug_output_shows_no_secret() {
    let pool = squares()
        .secret("A", "hidden")
        .worker(Worker::new("w").secret("B", "hidden"));
    let shown = format!("{pool:?} {:?}", lines().pool(squares().secret("A", "hidden")));
    assert!(!shown.contains("hidden"), "{shown}");
}

#[test]
fn a_run_needs_a_runtime_and_a_host_a_stack() {
    let error = lines().pool(squares()).start().unwrap_err();
    assert!(matches!(error, StartError::NoRuntime), "{error:?}");
    let error = Host::builder().stack(1).build().unwrap_err();
    assert!(matches!(error, HostError::Stack { bytes: 1, .. }), "{error:?}");
    // A file is not a folder.
    let error = Host::builder()
        .cache_in(env!("CARGO_MANIFEST_PATH"))
        .build()
        .unwrap_err();
    assert!(matches!(error, HostError::Cache(_)), "{error:?}");
    assert!(
        chain(&error).starts_with("cannot cache compiled code: `"),
        "{}",
        chain(&error)
    );
}

#[test]
fn deeply_nested_file_is_an_error_without_a_compiler_process() {
    let host = Host::builder().memory(1 << 30).build().unwrap();
    // Nested instance types.
    let deep = 100_000;
    let types = [b"\x01", &*b"\x42\x01\x01".repeat(deep), b"\x42\x00"].concat();
    let length = [
        types.len() as u8 | 0x80,
        (types.len() >> 7) as u8 | 0x80,
        (types.len() >> 14) as u8,
    ];
    let file = [b"\0asm\x0d\0\x01\0\x07", &length[..], &types].concat();
    let error = Component::new(&host, "deep", &file).unwrap_err();
    assert!(matches!(error, ComponentError::Contract { .. }), "{error:?}");
    snapshot("deeply_nested_types", &chain(&error));
}

#[test]
fn a_guest_traps_where_the_stack_of_its_host_ends() {
    // With a host of its own, because the stack size is a setting of the host.
    let host = Host::builder().stack(64 << 10).memory(1 << 30).build().unwrap();
    let folder = crate::support::Folder::new();
    let deep = Component::open(&host, folder.worker("deep.wasm", body::DEEP)).unwrap();
    go(async {
        let pool = Pool::component("deep", &deep).workers(1);
        let lines = host
            .run(Operation::lines("line"))
            .pool(pool)
            .policy(Policy::default().attempts(1));
        let mut run = lines.input(std::io::Cursor::new("x\n")).start().unwrap();
        let mut said = Vec::new();
        while let Some(event) = run.next().await {
            if let Event::AttemptFailed { message, .. } = event {
                said.push(message);
            }
        }
        snapshot("a_stack_that_is_used_up", &said.join("\n"));
    });
}

#[test]
fn public_types_are_send() {
    fn send<T: Send + 'static>() {}
    fn shared<T: Send + Sync + Clone + 'static>() {}
    shared::<Host>();
    shared::<Component>();
    shared::<Control>();
    shared::<Task>();
    shared::<Action>();
    shared::<Event>();
    shared::<Summary>();
    shared::<Failure>();
    shared::<Refusal>();
    send::<Run>();
    send::<RunBuilder>();
    send::<Pool>();
    send::<Operation>();
    send::<Attempt>();
    fn error<T: std::error::Error + Send + Sync + 'static>() {}
    error::<ComponentError>();
    error::<HostError>();
    error::<ControlError>();
    error::<StartError>();
    error::<RunError>();
    error::<Refusal>();
    error::<Failure>();
}
