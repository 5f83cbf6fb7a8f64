//! What guests may reach outside of the sandbox, and how: the grants of an operator, and HTTP.
//!
//! Nothing is granted by default. The texts that guests and reports see contain no secret.

#![allow(missing_docs, reason = "an inner crate: names and types say the rest")]
#![allow(
    rustdoc::private_intra_doc_links,
    reason = "its readers have the private items before them"
)]

pub mod grants;
pub mod http;
