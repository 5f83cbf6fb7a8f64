//! The public API equals the list in `docs/api.txt`, so that no change goes unseen.
//!
//! Not cargo-public-api: it reads what only a nightly rustdoc writes.

use std::collections::BTreeSet;

use syn::{Attribute, Fields, FnArg, ImplItem, Item, Type, UseTree, Visibility};

use crate::support::root;

/// Whether an item is visible from outside: in `crates/disperse/src/embed/`, whether it is `pub`.
fn is_pub(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Keeps the attributes that matter to users: no docs and no lints.
fn keep(attributes: &mut Vec<Attribute>) {
    let kept = ["derive", "non_exhaustive", "must_use"];
    attributes.retain(|attribute| kept.iter().any(|name| attribute.path().is_ident(name)));
}

fn fields(fields: &mut Fields, all: bool) {
    if let Fields::Named(named) = fields {
        let kept = std::mem::take(&mut named.named).into_iter();
        named.named = kept.filter(|field| all || is_pub(&field.vis)).collect();
    } else if !all {
        *fields = Fields::Named(syn::parse_quote!({}));
    }
    fields.iter_mut().for_each(|field| field.attrs.clear());
}

/// The public part of an item, if it has one: names, types and signatures.
fn shown(item: Item, exported: &BTreeSet<String>) -> Option<Item> {
    let is_exported = |name: &syn::Ident| exported.contains(&name.to_string());
    match item {
        Item::Struct(mut item) if is_exported(&item.ident) => {
            keep(&mut item.attrs);
            fields(&mut item.fields, false);
            Some(Item::Struct(item))
        }
        Item::Enum(mut item) if is_exported(&item.ident) => {
            keep(&mut item.attrs);
            for variant in &mut item.variants {
                keep(&mut variant.attrs);
                fields(&mut variant.fields, true);
            }
            Some(Item::Enum(item))
        }
        Item::Type(mut item) if is_exported(&item.ident) => {
            item.attrs.clear();
            Some(Item::Type(item))
        }
        // Kinds of items that do not exist yet, so that a first one is noticed.
        Item::Fn(item) if is_exported(&item.sig.ident) => panic!("`{}` is not shown", item.sig.ident),
        Item::Trait(item) if is_exported(&item.ident) => panic!("`{}` is not shown", item.ident),
        Item::Const(item) if is_exported(&item.ident) => panic!("`{}` is not shown", item.ident),
        Item::Static(item) if is_exported(&item.ident) => panic!("`{}` is not shown", item.ident),
        Item::Impl(mut item) => {
            let Type::Path(of) = &*item.self_ty else { return None };
            let is_trait = item.trait_.is_some();
            if !of.path.segments.last().is_some_and(|last| is_exported(&last.ident)) {
                return None;
            }
            item.attrs.clear();
            let of_trait = |part: &ImplItem| matches!(part, ImplItem::Type(_));
            let of_type = |part: &ImplItem| matches!(part, ImplItem::Fn(part) if is_pub(&part.vis));
            item.items.retain(if is_trait { of_trait } else { of_type });
            for part in &mut item.items {
                if let ImplItem::Fn(part) = part {
                    keep(&mut part.attrs);
                    part.block.stmts.clear();
                    if let Some(FnArg::Receiver(own)) = part.sig.inputs.first_mut() {
                        // `mut self` is no part of the signature.
                        own.mutability = None;
                    }
                }
            }
            (is_trait || !item.items.is_empty()).then_some(Item::Impl(item))
        }
        _ => None,
    }
}

/// The names at the ends of a `use`.
fn names(tree: &UseTree, found: &mut BTreeSet<String>) {
    match tree {
        UseTree::Path(path) => names(&path.tree, found),
        UseTree::Group(group) => group.items.iter().for_each(|item| names(item, found)),
        UseTree::Name(name) => drop(found.insert(name.ident.to_string())),
        UseTree::Rename(_) | UseTree::Glob(_) => panic!("a public name must be exported under its own name"),
    }
}

/// The names that a file exports with `pub use`.
fn exported(path: &str) -> BTreeSet<String> {
    let file = syn::parse_file(&std::fs::read_to_string(root().join(path)).unwrap()).unwrap();
    let mut found = BTreeSet::new();
    for item in file.items {
        if let Item::Use(item) = item
            && is_pub(&item.vis)
        {
            names(&item.tree, &mut found);
        }
    }
    found
}

#[test]
fn public_api_matches_the_published_list() {
    let room = exported("crates/disperse/src/embed/mod.rs");
    let mut outside = exported("crates/disperse/src/lib.rs");
    assert_eq!(outside, {
        let mut program = exported("host/src/lib.rs");
        assert!(program.remove("main"), "the entry point of the program");
        program
    });
    assert!(outside.remove("Bytes"), "a type of another crate");
    assert_eq!(outside, room, "lib.rs exports what `embed` does, and nothing else");
    let mut paths = Vec::new();
    let mut folders = vec![root().join("crates/disperse/src/embed")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { &mut folders } else { &mut paths }.push(path);
        }
    }
    paths.sort();
    let mut items = Vec::new();
    for path in paths {
        let file = syn::parse_file(&std::fs::read_to_string(&path).unwrap()).unwrap();
        items.extend(file.items.into_iter().filter_map(|item| shown(item, &room)));
    }
    let api = prettyplease::unparse(&syn::File {
        shebang: None,
        frontmatter: None,
        attrs: Vec::new(),
        items,
    });
    let api = format!(
        "// The public API of the crate disperse, without words and bodies. `tests/api.rs` checks it.\n\n{api}"
    );
    let path = root().join("docs/api.txt");
    if std::fs::read_to_string(&path).unwrap_or_default() == api {
        return;
    }
    let new = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("api.txt");
    std::fs::write(&new, api).unwrap();
    let (new, path) = (new.display(), path.display());
    panic!(
        "the public API has changed: `diff {path} {new}`; if that is wanted, `cp {new} {path}`, and say it in CHANGELOG.md"
    );
}
