//! Entropy: the only place that draws it.

use longhaul_dtn::hash::HASH_BYTES;

/// The operating system gave no entropy.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw entropy from the operating system: {0}")]
pub struct EntropyError(getrandom::Error);

/// Draws 32 bytes that nobody can guess: a key, a seed or a nonce.
#[expect(clippy::disallowed_methods, reason = "the one place of the shell that draws entropy")]
pub fn nonce() -> Result<[u8; HASH_BYTES], EntropyError> {
    let mut bytes = [0; HASH_BYTES];
    getrandom::fill(&mut bytes).map_err(EntropyError)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_repeats_itself() {
        let (first, second) = (nonce().expect("entropy"), nonce().expect("entropy"));
        assert_ne!(first, second);
        assert_ne!(first, [0; HASH_BYTES]);
    }
}
