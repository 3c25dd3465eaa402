//! The API: its types (the one definition of a stock), signing, verifying, the client and its
//! errors.

pub mod client;
pub mod content;
pub mod entity;
pub mod error;
pub mod pace;
pub mod retry;
pub mod signing;
pub mod stock;
pub mod verify;
