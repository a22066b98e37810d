//! What the whole-system tests share: the tidy rules of this workspace.
//!
//! The rules are plain functions over source text, so that each can be tested
//! with a planted violation; `tests/tidy.rs` applies them to the real tree.
//! Nothing here is part of the product.

pub mod tidy;
