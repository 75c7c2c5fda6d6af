//! A name for this process that no other one has, and chance.

use std::hash::{BuildHasher as _, RandomState};

/// `<hostname>_<uuid>`, as kube-scheduler's.
pub(super) fn unique(host: &str) -> String {
    // The standard library draws the keys of its hashers from the system's random source; nothing
    // else is needed for a number that nobody else has.
    let random = RandomState::new();
    let high = random.hash_one(std::process::id());
    let low = random.hash_one(std::time::SystemTime::now());
    format!(
        "{host}_{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        0x8000 | (low >> 48) & 0x3fff,
        low & 0xffff_ffff_ffff,
    )
}

/// Any number from 0 to 1.
pub(super) fn chance() -> f64 {
    let bits = RandomState::new().hash_one(0_u8) >> 32;
    f64::from(u32::try_from(bits).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_uuids_and_differ() {
        let (one, other) = (unique("host"), unique("host"));
        assert_ne!(one, other);
        let uuid = one.strip_prefix("host_").unwrap_or_default();
        let lengths: Vec<_> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{one}");
    }

    #[test]
    fn chance_is_within_its_bounds() {
        let drawn: Vec<_> = (0..100).map(|_| chance()).collect();
        assert!(drawn.iter().all(|drawn| (0.0..=1.0).contains(drawn)));
        assert!(drawn.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
