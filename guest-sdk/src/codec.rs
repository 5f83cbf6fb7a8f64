//! Encodes values as payloads, and decodes them. The contract knows only bytes; the formats are defined here.
//!
//! | a value of type     | is written as                                                                     |
//! |---------------------|-----------------------------------------------------------------------------------|
//! | any serde type      | JSON: readable in `disperse-host explain`, shared with workers in other languages |
//! | [`Bincode<T>`]      | bincode 2: smaller and quicker, where both sides are Rust                         |
//! | [`Text<T>`]         | the text of `Display` and `FromStr`: lines for `disperse-host map`          |
//! | [`Raw`]             | itself                                                                            |
//!
//! A `Vec<u8>` is a serde type and becomes a JSON list of numbers: for bytes as they are use [`Raw`].

use std::error::Error;
use std::fmt::{self, Display};
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The most that a [`Bincode`] value may make its reader allocate, in bytes: 16 MiB, twice the host's default limit for
/// a payload. An untrusted length is rejected before memory is allocated for it.
pub const BINCODE_LIMIT_BYTES: usize = 16 << 20;

/// A value that can be encoded as a payload. The [module](self) lists the formats.
///
/// It takes the value itself, so that [`Raw`] moves without a copy; references to values encode too.
pub trait Encode {
    /// Returns the payload of this value.
    ///
    /// # Errors
    /// When the format has no form for the value, such as a JSON object whose keys are not text.
    fn encode(self) -> Result<Vec<u8>, CodecError>;
}

/// A value that can be decoded from a payload. The [module](self) lists the formats.
pub trait Decode: Sized {
    /// Returns the value of this payload. Bytes left over are an error.
    ///
    /// # Errors
    /// When the bytes are not such a value. The text names the mistake and, where the format knows it, the position.
    fn decode(bytes: Vec<u8>) -> Result<Self, CodecError>;
}

/// A value could not be encoded or decoded. The text is the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodecError(String);

impl CodecError {
    /// An error with this text, for codecs of your own.
    pub fn new(why: impl Display) -> Self {
        Self(why.to_string())
    }
}

impl Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for CodecError {}

impl<T: Serialize> Encode for T {
    fn encode(self) -> Result<Vec<u8>, CodecError> {
        serde_json::to_vec(&self).map_err(CodecError::new)
    }
}

impl<T: DeserializeOwned> Decode for T {
    fn decode(bytes: Vec<u8>) -> Result<Self, CodecError> {
        serde_json::from_slice(&bytes).map_err(|error| {
            CodecError(format!(
                "it is not the JSON expected: {error} (for lines of plain text, the type is `Text<T>` or `Raw`)"
            ))
        })
    }
}

/// Bytes as they are: any bytes, empty ones too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Raw(pub Vec<u8>);

impl Encode for Raw {
    fn encode(self) -> Result<Vec<u8>, CodecError> {
        Ok(self.0)
    }
}

impl Encode for &Raw {
    fn encode(self) -> Result<Vec<u8>, CodecError> {
        Ok(self.0.clone())
    }
}

impl Decode for Raw {
    fn decode(bytes: Vec<u8>) -> Result<Self, CodecError> {
        Ok(Self(bytes))
    }
}

/// A value as text in UTF-8, by its `Display` and `FromStr`. Nothing is trimmed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<T>(pub T);

impl<T: Display> Encode for Text<T> {
    fn encode(self) -> Result<Vec<u8>, CodecError> {
        Ok(self.0.to_string().into_bytes())
    }
}

impl<T: Display> Encode for &Text<T> {
    fn encode(self) -> Result<Vec<u8>, CodecError> {
        Ok(self.0.to_string().into_bytes())
    }
}

impl<T: FromStr<Err: Display>> Decode for Text<T> {
    fn decode(bytes: Vec<u8>) -> Result<Self, CodecError> {
        let text = str::from_utf8(&bytes).map_err(|error| CodecError(format!("it is not UTF-8: {error}")))?;
        text.parse()
            .map(Self)
            .map_err(|error| CodecError(format!("`{}`: {error}", excerpt(text))))
    }
}

/// A value in bincode 2 with its standard configuration (little endian, variable-length integers). Both sides must
/// agree on the type, since the bytes do not name it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bincode<T>(pub T);

impl<T: Serialize> Encode for Bincode<T> {
    fn encode(self) -> Result<Vec<u8>, CodecError> {
        (&self).encode()
    }
}

impl<T: Serialize> Encode for &Bincode<T> {
    fn encode(self) -> Result<Vec<u8>, CodecError> {
        bincode::serde::encode_to_vec(&self.0, bincode_config()).map_err(CodecError::new)
    }
}

impl<T: DeserializeOwned> Decode for Bincode<T> {
    fn decode(bytes: Vec<u8>) -> Result<Self, CodecError> {
        let (value, used) = bincode::serde::decode_from_slice(&bytes, bincode_config())
            .map_err(|error| CodecError(format!("it is not the bincode expected: {error}")))?;
        match bytes.len() - used {
            0 => Ok(Self(value)),
            left => Err(CodecError(format!(
                "it is not the bincode expected: {left} bytes are left over"
            ))),
        }
    }
}

fn bincode_config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<BINCODE_LIMIT_BYTES>()
}

/// The beginning of a text that may be long, for an error message.
fn excerpt(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    match text.char_indices().nth(CHARS_MAX) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}...", text.get(..at).unwrap_or_default()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Tile {
        x: u32,
        name: String,
        pixels: Vec<u8>,
    }

    fn tile() -> Tile {
        Tile {
            x: 7,
            name: "käse".to_owned(),
            pixels: vec![0, 255, 10],
        }
    }

    #[test]
    fn serde_types_are_json() {
        assert_eq!(12.encode().unwrap(), b"12");
        assert_eq!("a\"b".encode().unwrap(), br#""a\"b""#);
        assert_eq!(().encode().unwrap(), b"null");
        assert_eq!(
            (&tile()).encode().unwrap(),
            r#"{"x":7,"name":"käse","pixels":[0,255,10]}"#.as_bytes()
        );
        assert_eq!(Tile::decode(tile().encode().unwrap()).unwrap(), tile());
        assert_eq!(u32::decode(b" 12\n".to_vec()).unwrap(), 12);
    }

    #[test]
    fn error_of_invalid_json_has_the_position() {
        let error = Tile::decode(b"{\"x\":7,\n\"name\":3}".to_vec())
            .unwrap_err()
            .to_string();
        assert!(error.contains("not the JSON expected"), "{error}");
        assert!(error.contains("line 2"), "{error}");
        assert!(u32::decode(Vec::new()).is_err());
        assert!(u32::decode(b"1 2".to_vec()).is_err());
        assert!(BTreeMap::from([((1, 2), 3)]).encode().is_err());
    }

    #[test]
    fn raw_is_unchanged() {
        for bytes in [&b""[..], b"\0\xff\n"] {
            assert_eq!(Raw(bytes.to_vec()).encode().unwrap(), bytes);
            assert_eq!((&Raw(bytes.to_vec())).encode().unwrap(), bytes);
            assert_eq!(Raw::decode(bytes.to_vec()).unwrap().0, bytes);
        }
    }

    #[test]
    fn text_is_written_by_display() {
        assert_eq!(Text(u128::MAX).encode().unwrap(), u128::MAX.to_string().as_bytes());
        assert_eq!(
            Text::<u128>::decode(u128::MAX.to_string().into_bytes()).unwrap().0,
            u128::MAX
        );
        assert_eq!(Text::<String>::decode(b"a \"b\" ".to_vec()).unwrap().0, "a \"b\" ");
        assert_eq!(
            Text::<u8>::decode(b"256".to_vec()).unwrap_err().to_string(),
            "`256`: number too large to fit in target type"
        );
        assert!(
            Text::<String>::decode(vec![0xff])
                .unwrap_err()
                .to_string()
                .starts_with("it is not UTF-8")
        );
        let long = Text::<u8>::decode("ä".repeat(1000).into_bytes())
            .unwrap_err()
            .to_string();
        assert!(long.chars().count() < 140, "{long}");
    }

    #[test]
    fn bincode_is_decoded_to_the_same_value() {
        let bytes = Bincode(tile()).encode().unwrap();
        assert!(bytes.len() < tile().encode().unwrap().len());
        assert_eq!(bytes, (&Bincode(tile())).encode().unwrap());
        assert_eq!(Bincode::<Tile>::decode(bytes).unwrap().0, tile());
    }

    #[test]
    fn bincode_of_another_length_is_an_error() {
        let mut bytes = Bincode(tile()).encode().unwrap();
        bytes.push(0);
        assert!(
            Bincode::<Tile>::decode(bytes.clone())
                .unwrap_err()
                .to_string()
                .contains("1 bytes are left over")
        );
        bytes.truncate(5);
        assert!(Bincode::<Tile>::decode(bytes).is_err());
    }

    /// An untrusted length of 2^60 must be rejected, not allocated.
    #[test]
    fn bincode_does_not_allocate_an_untrusted_length() {
        let mut bytes = vec![253];
        bytes.extend_from_slice(&(1u64 << 60).to_le_bytes());
        assert!(Bincode::<Vec<u8>>::decode(bytes.clone()).is_err());
        assert!(Bincode::<String>::decode(bytes.clone()).is_err());
        assert!(Bincode::<Vec<u64>>::decode(bytes).is_err());
    }
}
