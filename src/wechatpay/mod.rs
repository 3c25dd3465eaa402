//! The API: its types (the one definition of a stock), signing, verifying, the client and its
//! errors.

pub mod certificate;
pub mod client;
pub mod content;
pub mod entity;
pub mod error;
pub mod examine;
pub mod pem;
pub mod shown;
pub mod signing;
pub mod stock;

mod advice;
mod endpoint;
mod failure;
mod hosts;
mod pace;
mod read;
mod retry;
mod send;
mod stop;
mod verify;

#[cfg(test)]
mod tests;
