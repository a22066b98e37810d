//! TCPCL version 4: the decoder under any cuts, and two sessions back to back.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod contact;
mod cuts;
mod decoder;
mod ending;
mod golden;
mod hostile;
mod transfers;
mod wire;
