//! In which order members are placed.

use std::cmp::Reverse;

use rustc_hash::FxHashSet;

use super::{CandidateClass, Request};
use crate::model::PodShape;

/// The candidates in the order in which they are placed.
pub fn order(request: &Request<'_>, classes: &[CandidateClass]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..request.candidates.len()).collect();
    let beyond = beyond_roles(request);
    // Those for whom room was made come first: no other member takes it.
    // Small pods first would break up the only place for a large one. Members of one size go by
    // their index, so that neighbours are near each other.
    order.sort_by_cached_key(|&index| {
        let candidate = &request.candidates[index];
        let size = classes.get(candidate.class).map(|class| size(&class.shape));
        let (name, number) = index_in_name(&candidate.reference.name);
        let beyond = beyond.contains(&index);
        (
            candidate.nominated.is_none(),
            beyond,
            Reverse(size),
            candidate.class,
            name.to_owned(),
            number,
        )
    });
    order
}

/// The members beyond what is asked of their role, where something is asked of roles: they come
/// last, so that they take no room of those without which it does not go.
fn beyond_roles(request: &Request<'_>) -> FxHashSet<usize> {
    let mut asked = request.need.roles.clone();
    let mut beyond = FxHashSet::default();
    for (index, candidate) in request.candidates.iter().enumerate() {
        let left = candidate.role.and_then(|role| asked.get_mut(role));
        match left {
            Some(left) if *left > 0 => *left -= 1,
            _ if request.need.roles.is_empty() => {}
            _ => {
                beyond.insert(index);
            }
        }
    }
    beyond
}

/// How large a pod is: by devices, then cpu, then memory.
fn size(shape: &PodShape) -> (i64, i64, i64) {
    let devices = shape.wanted.scalars.iter();
    let devices = devices.fold(0_i64, |sum, (_, amount)| sum.saturating_add(*amount));
    (devices, shape.wanted.cpu, shape.wanted.memory)
}

/// `worker-12` is the 12th `worker-`.
fn index_in_name(name: &str) -> (&str, u64) {
    let stem = name.trim_end_matches(|char: char| char.is_ascii_digit());
    let number = name.get(stem.len()..).unwrap_or_default();
    (stem, number.parse().unwrap_or(0))
}
