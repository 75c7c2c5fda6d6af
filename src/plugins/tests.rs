#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod hints;
mod nominated;
mod peer_hints;
mod peers;
mod profiles;
mod properties;
mod topics;
mod upstream;
