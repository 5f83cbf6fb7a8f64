//! Signatures of components.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use minisign_verify::{PublicKey, Signature};
use serde::{Deserialize, Serialize};

use crate::files;

/// The suffix of a component's signature file.
const SUFFIX: &str = ".minisig";

/// The largest signature file, in bytes. Two lines of comment and two of base64 have some hundred.
const SIGNATURE_MAX: u64 = 4 << 10;

/// The signature file of a component.
pub(crate) fn signature_of(component: &Path) -> PathBuf {
    let mut beside = component.as_os_str().to_owned();
    beside.push(SUFFIX);
    beside.into()
}

/// A public key of [minisign](https://jedisct1.github.io/minisign/), written as the second line of its file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Signer {
    text: String,
    key: PublicKey,
}

/// A text that is not a key.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a public key of minisign: the second line of its .pub file, which begins with RW")]
pub(crate) struct SignerError(String);

/// Why a signature is not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignatureError {
    #[error("cannot read `{0}`: {1}")]
    Unread(String, std::io::Error),
    #[error("its signature is not one of minisign: {0}")]
    Malformed(minisign_verify::Error),
    #[error("its signature is not by this key, or is for another file: {0}")]
    Other(minisign_verify::Error),
}

impl Signer {
    /// Checks a component against the signature file beside it.
    ///
    /// # Errors
    /// The signature cannot be read, or is not by this key.
    pub(crate) fn check(&self, path: &Path, component: &[u8]) -> Result<(), SignatureError> {
        let beside = signature_of(path);
        let signature = files::read_text(&beside, SIGNATURE_MAX)
            .map_err(|error| SignatureError::Unread(beside.display().to_string(), error))?;
        let signature = Signature::decode(&signature).map_err(SignatureError::Malformed)?;
        // Without the legacy format, for which minisign itself needs a flag.
        self.key
            .verify(component, &signature, false)
            .map_err(SignatureError::Other)
    }
}

impl FromStr for Signer {
    type Err = SignerError;

    fn from_str(text: &str) -> Result<Self, SignerError> {
        match PublicKey::from_base64(text) {
            Ok(key) => Ok(Self {
                text: text.to_owned(),
                key,
            }),
            Err(_) => Err(SignerError(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Signer {
    type Error = SignerError;

    fn try_from(text: String) -> Result<Self, SignerError> {
        text.parse()
    }
}

impl From<Signer> for String {
    fn from(signer: Signer) -> Self {
        signer.text
    }
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl schemars::JsonSchema for Signer {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Signer".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "A public key of minisign." })
    }
}
