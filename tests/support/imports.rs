//! The imports between the modules of a crate, read from its sources: `use` lines, and paths anywhere else in the code.
//!
//! An import of a name that another module re-exports is one of the module that defines the name. A module is a file: those
//! within it count as a part. What is compiled for tests only is left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use syn::{
    Ident, ItemUse, Token, UseTree, Visibility, braced, bracketed,
    ext::IdentExt,
    parenthesized,
    parse::{Parse, ParseStream, discouraged::Speculative},
    token,
};

/// A path in the code, or of a module within its crate: that of the root is empty.
type Names = Vec<String>;

/// The modules that each module imports, with the names that it uses of them: `self` is the module itself.
pub(crate) type Imports = BTreeMap<Names, BTreeMap<Names, BTreeSet<String>>>;

/// The names in the text of a module.
#[derive(Default)]
struct Module {
    uses: Vec<Use>,
    /// Paths of several names outside `use`.
    paths: Vec<Names>,
    /// All names outside `use`.
    words: BTreeSet<String>,
    /// The modules in files of their own.
    declared: Vec<String>,
    /// The modules within this text; they are read apart.
    inner: Vec<String>,
    parts: Vec<Module>,
}

/// One name that a `use` brings in.
struct Use {
    path: Names,
    name: String,
    is_pub: bool,
}

impl Parse for Module {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut module = Self::default();
        module.read(input)?;
        Ok(module)
    }
}

impl Module {
    fn read(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        while !input.is_empty() {
            let ahead = input.fork();
            if ahead.call(for_tests).unwrap_or_default() || self.read_use(&ahead).is_ok() {
                input.advance_to(&ahead);
            } else if input.peek(Token![mod]) && input.peek2(Ident) {
                input.parse::<Token![mod]>()?;
                let name = input.parse::<Ident>()?.to_string();
                if input.peek(token::Brace) {
                    let content;
                    braced!(content in input);
                    self.inner.push(name);
                    self.parts.push(content.parse()?);
                } else {
                    self.declared.push(name);
                }
            } else if input.peek(Ident::peek_any) {
                self.read_path(input)?;
            } else if input.peek(token::Brace) {
                let content;
                braced!(content in input);
                self.read(&content)?;
            } else if input.peek(token::Paren) {
                let content;
                parenthesized!(content in input);
                self.read(&content)?;
            } else if input.peek(token::Bracket) {
                let content;
                bracketed!(content in input);
                self.read(&content)?;
            } else {
                input.step(|cursor| {
                    let next = cursor.token_tree().map(|(_, rest)| ((), rest));
                    next.ok_or_else(|| cursor.error("a token is expected"))
                })?;
            }
        }
        Ok(())
    }

    fn read_use(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        let item: ItemUse = input.parse()?;
        let is_pub = !matches!(item.vis, Visibility::Inherited);
        if item.leading_colon.is_none() {
            self.bring_in(&mut Vec::new(), item.tree, is_pub);
        }
        Ok(())
    }

    fn bring_in(&mut self, path: &mut Names, tree: UseTree, is_pub: bool) {
        let mut add = |ident: &Ident, name: &Ident| {
            let mut path = path.clone();
            if ident != "self" {
                path.push(ident.to_string());
            }
            let name = match path.last() {
                Some(last) if name == "self" => last.clone(),
                _ => name.to_string(),
            };
            self.uses.push(Use { path, name, is_pub });
        };
        match tree {
            UseTree::Name(tree) => add(&tree.ident, &tree.ident),
            UseTree::Rename(tree) => add(&tree.ident, &tree.rename),
            UseTree::Glob(_) => self.uses.push(Use {
                path: path.clone(),
                name: "*".to_owned(),
                is_pub,
            }),
            UseTree::Path(tree) => {
                path.push(tree.ident.to_string());
                self.bring_in(path, *tree.tree, is_pub);
                path.pop();
            }
            UseTree::Group(tree) => {
                for tree in tree.items {
                    self.bring_in(path, tree, is_pub);
                }
            }
        }
    }

    fn read_path(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        let mut path = vec![input.call(Ident::parse_any)?.to_string()];
        loop {
            let ahead = input.fork();
            if ahead.parse::<Token![::]>().is_err() || !ahead.peek(Ident::peek_any) {
                break;
            }
            input.advance_to(&ahead);
            path.push(input.call(Ident::parse_any)?.to_string());
        }
        self.words.extend(path.iter().cloned());
        if path.len() > 1 {
            self.paths.push(path);
        }
        Ok(())
    }

    /// Adds the modules within this one, and itself, to those of the crate.
    fn insert_into(mut self, path: Names, modules: &mut BTreeMap<Names, Self>) {
        for (name, part) in self.inner.iter().zip(std::mem::take(&mut self.parts)) {
            part.insert_into(below(&path, name), modules);
        }
        modules.insert(path, self);
    }
}

/// Reads an item that is compiled for tests only. False if something else follows.
fn for_tests(input: ParseStream<'_>) -> syn::Result<bool> {
    let attributes = input.call(syn::Attribute::parse_outer)?;
    let is_for_tests = attributes.iter().any(|attribute| {
        let condition = attribute.parse_args::<Ident>();
        attribute.path().is_ident("cfg") && condition.is_ok_and(|condition| condition == "test")
    });
    if !is_for_tests {
        return Ok(false);
    }
    let ahead = input.fork();
    match ahead.parse::<syn::Item>() {
        Ok(_) => input.advance_to(&ahead),
        Err(_) => drop(input.parse::<syn::ImplItem>()?),
    }
    Ok(true)
}

/// Reads a module and those that it declares. `folder` holds the files of the latter.
fn load(file: &Path, folder: &Path, path: Names, modules: &mut BTreeMap<Names, Module>) {
    let text = std::fs::read_to_string(file).unwrap();
    let module: Module = syn::parse_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    for name in &module.declared {
        let inside = folder.join(name);
        let files = [folder.join(format!("{name}.rs")), inside.join("mod.rs")];
        let file = files.iter().find(|file| file.exists());
        let file = file.unwrap_or_else(|| panic!("`mod {name}` in {} has no file", shown(&path)));
        load(file, &inside, below(&path, name), modules);
    }
    module.insert_into(path, modules);
}

fn below(path: &[String], name: &str) -> Names {
    [path, &[name.to_owned()]].concat()
}

/// A path as code writes it; the root is `crate`.
pub(crate) fn shown(path: &[String]) -> String {
    match path {
        [] => "crate".to_owned(),
        path => path.join("::"),
    }
}

/// The modules of a crate.
struct Modules(BTreeMap<Names, Module>);

impl Modules {
    /// The path from the root of a path in a module; None if it leads to another crate.
    fn path_of(&self, module: &[String], path: &[String]) -> Option<Names> {
        let (first, rest) = path.split_first()?;
        self.anchored(module, path).or_else(|| {
            let brought = self.0[module].uses.iter().find(|one| one.name == *first)?;
            Some([&self.anchored(module, &brought.path)?[..], rest].concat())
        })
    }

    /// The same for a path that does not begin with a name of a `use`.
    fn anchored(&self, module: &[String], path: &[String]) -> Option<Names> {
        let (first, rest) = path.split_first()?;
        let base = match first.as_str() {
            "crate" => Vec::new(),
            "self" => module.to_vec(),
            "super" => {
                let ups = path.iter().take_while(|name| *name == "super").count();
                return Some([&module[..module.len().checked_sub(ups)?], &path[ups..]].concat());
            }
            name => Some(below(module, name)).filter(|inside| self.0.contains_key(inside))?,
        };
        Some([&base[..], rest].concat())
    }

    /// The module that defines what a path from the root leads to, and its name there. None: another crate does.
    fn defined(&self, path: &[String], seen: &mut BTreeSet<Names>) -> Option<(Names, String)> {
        let module = (0..=path.len()).rev().map(|length| &path[..length]);
        let module = module.into_iter().find(|path| self.0.contains_key(*path))?;
        let Some(name) = path.get(module.len()) else {
            return Some((module.to_vec(), "self".to_owned()));
        };
        let named = self.0[module].uses.iter().find(|one| one.name == *name);
        let Some(named) = named.filter(|_| seen.insert(path.to_vec())) else {
            return Some((module.to_vec(), name.clone()));
        };
        let from = self.path_of(module, &named.path)?;
        self.defined(&[&from[..], &path[module.len() + 1..]].concat(), seen)
    }

    /// The module in a file of its own that a module is a part of.
    fn file<'a>(&self, mut module: &'a [String]) -> &'a [String] {
        while let Some((name, outer)) = module.split_last()
            && self.0[outer].inner.contains(name)
        {
            module = outer;
        }
        module
    }

    /// Whether a `use` only makes a name of a module within this one known elsewhere.
    fn only_exports(&self, module: &[String], one: &Use, target: &[String]) -> bool {
        one.is_pub && target.starts_with(module) && !self.0[module].words.contains(&one.name)
    }

    fn imports(&self) -> Imports {
        let mut all = Imports::new();
        for (path, module) in &self.0 {
            let file = self.file(path);
            let imports = all.entry(file.to_vec()).or_default();
            let uses = module.uses.iter().map(|one| (&one.path, Some(one)));
            for (named, one) in uses.chain(module.paths.iter().map(|named| (named, None))) {
                let Some(from) = self.path_of(path, named) else {
                    continue;
                };
                assert!(
                    one.is_none_or(|one| !one.is_pub || one.name != "*"),
                    "`{}` exports all of `{}`: name what it exports, so that it is seen where a name is defined",
                    shown(path),
                    shown(named)
                );
                let Some((target, name)) = self.defined(&from, &mut BTreeSet::new()) else {
                    continue;
                };
                let target = self.file(&target);
                if target != file && !one.is_some_and(|one| self.only_exports(path, one, target)) {
                    imports.entry(target.to_vec()).or_default().insert(name);
                }
            }
        }
        all
    }
}

/// The imports between the modules of the crate in this folder.
pub(crate) fn imports(source: &Path) -> Imports {
    let mut modules = BTreeMap::new();
    let root = ["lib.rs", "main.rs"].map(|name| source.join(name));
    let root = root.iter().find(|file| file.exists()).unwrap();
    load(root, source, Vec::new(), &mut modules);
    Modules(modules).imports()
}

/// The imports between modules with these texts.
pub(crate) fn imports_of(texts: &[(&str, &str)]) -> Imports {
    let mut modules = BTreeMap::new();
    for (path, text) in texts {
        let path = path.split("::").filter(|name| !name.is_empty()).map(str::to_owned);
        let module: Module = syn::parse_str(text).unwrap();
        module.insert_into(path.collect(), &mut modules);
    }
    Modules(modules).imports()
}

/// The groups of modules that import each other, directly or over others.
pub(crate) fn cycles(imports: &Imports) -> Vec<BTreeSet<&Names>> {
    let reached: BTreeMap<&Names, BTreeSet<&Names>> = imports
        .keys()
        .map(|module| {
            let (mut found, mut next) = (BTreeSet::new(), vec![module]);
            while let Some(module) = next.pop() {
                next.extend(imports[module].keys().filter(|other| found.insert(*other)));
            }
            (module, found)
        })
        .collect();
    let mut groups: Vec<BTreeSet<&Names>> = Vec::new();
    for (module, found) in &reached {
        let group: BTreeSet<&Names> = found
            .iter()
            .copied()
            .filter(|other| reached[*other].contains(module))
            .collect();
        if group.contains(module) && !groups.contains(&group) {
            groups.push(group);
        }
    }
    groups
}

/// The imports within a group of modules, a line each, with the names that cause them.
pub(crate) fn within(group: &BTreeSet<&Names>, imports: &Imports) -> String {
    let mut lines = String::new();
    for module in group {
        for (other, names) in imports[*module].iter().filter(|(other, _)| group.contains(other)) {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            lines += &format!("    {} imports {}: {}\n", shown(module), shown(other), names.join(", "));
        }
    }
    lines
}
