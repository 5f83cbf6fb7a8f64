//! Tests of a scratch folder's tree.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use super::tree::{BLOCK, ENTRY, FileClock, NAME_MAX, PATH_MAX, ROOT, Tree};
use crate::imports::files::OpenHow;
use disperse_protocol::limits::Budget;

const NEW: OpenHow = OpenHow {
    follow: false,
    read: false,
    write: true,
    create: true,
    exclusive: false,
    truncate: false,
    folder: false,
};

fn tree(most: u64) -> Tree {
    let account = Budget::new(u64::MAX).memory().account(u64::MAX, Arc::default());
    Tree::new(most, account.empty(), FileClock::Stopped(Duration::from_secs(1)))
}

#[test]
fn written_bytes_are_read_back_across_blocks_and_holes() {
    let mut tree = tree(1 << 20);
    let file = tree.open(ROOT, "a", NEW).unwrap();
    let text: Vec<u8> = (0..10_000_u32).map(|n| n as u8).collect();
    tree.write(file, Some(9_000), &text).unwrap();
    assert_eq!(tree.read(file, 9_000, 1 << 16).unwrap(), text);
    assert_eq!(tree.read(file, 0, 9_000).unwrap(), vec![0; 9_000]);
    // Truncated bytes do not come back.
    tree.set_size(file, 9_001).unwrap();
    tree.set_size(file, 9_003).unwrap();
    tree.write(file, None, b"x").unwrap();
    assert_eq!(tree.read(file, 9_000, 9).unwrap(), &[text[0], 0, 0, b'x'][..]);
    assert_eq!(tree.read(file, 1 << 40, 9).unwrap(), Bytes::new());
}

#[test]
fn removed_files_and_names_no_longer_count() {
    let mut tree = tree(1 << 20);
    tree.make_folder(ROOT, "d").unwrap();
    let file = tree.open(ROOT, "d/a", NEW).unwrap();
    tree.hold(file);
    tree.write(file, None, &[1; 5000]).unwrap();
    tree.link(ROOT, "d/a", ROOT, "b").unwrap();
    assert_eq!(tree.used, 5 * ENTRY + 2 * BLOCK);
    tree.rename(ROOT, "b", ROOT, "d/a").unwrap();
    tree.remove(ROOT, "b", false).unwrap();
    tree.remove(ROOT, "d/a", false).unwrap();
    assert_eq!(tree.remove(ROOT, "d/", true), Ok(()));
    // An open file counts even without a name.
    assert_eq!(tree.used, ENTRY + 2 * BLOCK);
    assert_eq!(tree.read(file, 4_999, 2).unwrap(), &[1][..]);
    tree.release(file);
    assert_eq!((tree.used, tree.nodes.len()), (0, 1));
}

#[test]
fn given_file_counts_when_it_is_written_to() {
    let mut tree = tree(2 * ENTRY + BLOCK);
    tree.give("payload", Bytes::from(vec![7; 5000])).unwrap();
    assert_eq!(tree.used, 2 * ENTRY);
    let file = tree.find(ROOT, "payload").unwrap();
    assert_eq!(tree.read(file, 4_998, 10).unwrap(), &[7, 7][..]);
    assert_eq!(tree.write(file, Some(0), b"x"), Err(ErrorCode::InsufficientSpace));
    assert_eq!(tree.whole(ROOT, "payload", 4_999), Ok(None));
    tree.set_size(file, 0).unwrap();
    tree.write(file, None, b"x").unwrap();
    assert_eq!(tree.whole(ROOT, "payload", 9).unwrap().unwrap(), &b"x"[..]);
}

#[test]
fn paths_do_not_lead_out_and_folders_do_not_move_into_themselves() {
    let mut tree = tree(1 << 20);
    tree.make_folder(ROOT, "a").unwrap();
    tree.make_folder(ROOT, "a/b").unwrap();
    let inner = tree.find(ROOT, "a").unwrap();
    for path in ["..", "b/../..", "/", "/a", "b/../../a"] {
        assert_eq!(tree.find(inner, path), Err(ErrorCode::NotPermitted), "{path}");
    }
    assert_eq!(tree.find(inner, "b/.././b/"), tree.find(ROOT, "a/b"));
    assert_eq!(tree.rename(ROOT, "a", ROOT, "a/b/c"), Err(ErrorCode::Invalid));
    assert_eq!(tree.rename(ROOT, "a/b", ROOT, "b"), Ok(()));
    assert_eq!(tree.find(ROOT, "b/../a"), Ok(inner));
    tree.hold(inner);
    tree.remove(ROOT, "a", true).unwrap();
    assert_eq!(tree.make_folder(inner, "x"), Err(ErrorCode::NoEntry));
    assert_eq!(tree.rename(ROOT, "b", inner, "x"), Err(ErrorCode::NoEntry));
    assert_eq!(tree.find(ROOT, &"x".repeat(NAME_MAX + 1)), Err(ErrorCode::NameTooLong));
    assert_eq!(tree.find(ROOT, &"x/".repeat(PATH_MAX)), Err(ErrorCode::NameTooLong));
}

#[test]
fn limit_includes_bytes_files_names_and_holes() {
    let most = 64 << 10;
    let mut tree = tree(most);
    let file = tree.open(ROOT, "a", NEW).unwrap();
    assert_eq!(tree.set_size(file, most + 1), Err(ErrorCode::InsufficientSpace));
    assert_eq!(
        tree.write(file, Some(u64::MAX), b"xy"),
        Err(ErrorCode::InsufficientSpace)
    );
    tree.set_size(file, most).unwrap();
    assert_eq!(tree.used, 2 * ENTRY);
    let names = (0..)
        .take_while(|n| tree.link(ROOT, "a", ROOT, &format!("l{n}")).is_ok())
        .count();
    assert_eq!(names as u64, most / ENTRY - 2);
    assert_eq!(tree.write(file, Some(0), b"x"), Err(ErrorCode::InsufficientSpace));
    assert_eq!(tree.make_folder(ROOT, "d"), Err(ErrorCode::InsufficientSpace));
    assert!(tree.was_full());
}

#[test]
fn folders_are_listed_by_name_even_while_they_change() {
    let mut tree = tree(1 << 20);
    for name in ["b", "a", "c"] {
        tree.open(ROOT, name, NEW).unwrap();
    }
    assert_eq!(tree.entry_after(ROOT, None).unwrap(), Some(("a".into(), false)));
    tree.remove(ROOT, "a", false).unwrap();
    assert_eq!(tree.entry_after(ROOT, Some("a")).unwrap(), Some(("b".into(), false)));
    assert_eq!(tree.entry_after(ROOT, Some("c")).unwrap(), None);
}
