//! Components that must be signed.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::support::{Folder, Texts, body, host};

/// A minisign key. A crate that signs has so many dependencies that wasmtime would be built twice, for the tests and for the
/// program, and the format is four lines.
pub(crate) struct Signer {
    key: Ed25519KeyPair,
    id: [u8; 8],
}

impl Signer {
    pub(crate) fn new(id: u8) -> Self {
        Self {
            key: Ed25519KeyPair::from_seed_unchecked(&[id; 32]).unwrap(),
            id: [id; 8],
        }
    }

    pub(crate) fn public(&self) -> String {
        BASE64_STANDARD.encode([b"Ed", &self.id[..], self.key.public_key().as_ref()].concat())
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> String {
        let signature = self.key.sign(blake2b_simd::blake2b(bytes).as_bytes());
        let comment = "made by a test";
        let all = self.key.sign(&[signature.as_ref(), comment.as_bytes()].concat());
        format!(
            "untrusted comment: signature\n{}\ntrusted comment: {comment}\n{}\n",
            BASE64_STANDARD.encode([b"ED", &self.id[..], signature.as_ref()].concat()),
            BASE64_STANDARD.encode(all),
        )
    }
}

#[test]
fn component_runs_only_with_the_required_signature() {
    let texts = Texts::new("component_runs_only_with_the_required_signature");
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    let component = std::fs::read(&worker).unwrap();
    let (ours, theirs) = (Signer::new(1), Signer::new(2));
    let key = ours.public();
    let run = |args: &[&str]| host(args).input("a\n").run();
    let typed = ["map", &worker, "--signed-by", &key];
    run(&typed).exits(2).prints("").stderr_to(&texts);
    for signature in [
        String::new(),
        "untrusted comment: x\nRW\ntrusted comment: y\nz\n".to_owned(),
        theirs.sign(&component),
        ours.sign(b"another component"),
    ] {
        folder.file("echo.wasm.minisig", signature);
        run(&typed).exits(2).prints("").stderr_to(&texts);
    }
    folder.file("echo.wasm.minisig", ours.sign(&component));
    run(&typed).exits(0).prints("a\n");

    let manifest = |key: &str| {
        folder.file(
            "disperse.toml",
            format!("signed-by = \"{key}\"\n[[pool]]\nname = \"p\"\ncomponent = \"echo.wasm\"\n"),
        )
    };
    run(&["map", &manifest(&key)]).exits(0).prints("a\n");
    run(&["map", &manifest(&theirs.public())]).exits(2).prints("");
    // The command line takes precedence.
    run(&["map", &manifest(&theirs.public()), "--signed-by", &key]).exits(0);
    run(&["map", &manifest("RWnothing")]).exits(2).stderr_to(&texts);
    // The same holds for an operation and its workers.
    let operation = folder.operation("operation.wasm", "next", "");
    let operated = ["run", &operation, "--worker", &worker, "--signed-by", &key];
    run(&operated).exits(2).stderr_to(&texts);
    folder.file("operation.wasm.minisig", ours.sign(&std::fs::read(&operation).unwrap()));
    run(&operated).exits(0);
    std::fs::remove_file(folder.path("echo.wasm.minisig")).unwrap();
    run(&operated).exits(2).stderr_to(&texts);
    texts.match_snapshot();
}
