//! A worker that reads files and returns the SHA-256 of each, as `sha256sum` writes it.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};

use disperse_guest::{Action, Failure, OrFail, Text, Worker, export_worker};
use sha2::{Digest, Sha256};

#[derive(Default)]
struct Checksum;

impl Worker for Checksum {
    type Input = Text<String>;
    type Output = Text<String>;

    fn handle(&mut self, action: Action<Text<String>>) -> Result<Text<String>, Failure> {
        let path = action.input.0;
        // A file that is missing or not granted is so for every worker of the pool.
        let file = File::open(&path).map_err(|error| format!("cannot open `{path}`: {error}"));
        let sum = checksum(file.or_permanent()?)?;
        Ok(Text(format!("{sum}  {path}")))
    }
}

/// Hashes a file in pieces, so that a file may be larger than the worker's memory.
fn checksum(mut file: impl Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            count => hasher.update(piece.get(..count).unwrap_or_default()),
        }
    }
    let mut text = String::new();
    for byte in hasher.finalize() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

export_worker!(Checksum);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sum_of_a_known_text() {
        // FIPS 180-2, appendix B.1.
        let sum = checksum(&b"abc"[..]).map_err(|error| error.to_string());
        assert_eq!(
            sum.as_deref(),
            Ok("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        );
    }
}
