//! The API: its types (the one definition of a stock), signing, verifying, the client and its
//! errors.

pub mod entity;
pub mod signing;
pub mod stock;
