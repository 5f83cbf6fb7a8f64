//! Which panics of a guest count as the same failure.

use crate::support::{host, of_type, probe};

const LINES: usize = 10;

#[test]
fn panics_at_two_locations_do_not_fail_the_action() {
    let args = ["map", &probe(), "--workers", "4", "--attempts", "10"];
    let ended = host(args).input("stumble\n".repeat(LINES)).run().exits(0);
    ended.prints(&"done at attempt 3\n".repeat(LINES));
}

#[test]
fn panics_at_one_location_fail_the_action_whatever_their_messages() {
    let args = [
        "map",
        &probe(),
        "--workers",
        "4",
        "--attempts",
        "10",
        "--format",
        "json",
    ];
    let events = host(args).input("fall\n").run().exits(1).events();
    let failed = of_type(&events, "attempt-failed");
    let words = |index: usize| failed.get(index).map(|event| event["stderr"].as_str().unwrap());
    assert_ne!(words(0), words(1), "they have different values: {events:?}");
    let dead = of_type(&events, "action-dead");
    assert_eq!(dead.len(), 1, "{events:?}");
    assert_eq!(dead[0]["reason"], "poison", "{events:?}");
}
