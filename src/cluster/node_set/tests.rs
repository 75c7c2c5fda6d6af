#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::cluster::posting::Posting;
use crate::plugins::testing::cases;

type Model = BTreeSet<usize>;

#[derive(Clone, Debug)]
enum Step {
    Insert(usize),
    Remove(usize),
    InsertWord(usize, u64),
    RemoveWord(usize, u64),
    RetainWords(u64),
    Union(Vec<usize>),
    Subtract(Vec<usize>),
    Intersect(Vec<usize>),
    Assign(Vec<usize>),
    Clear,
}

/// Indexes near each other and far apart, so that spans and gaps both occur.
fn index() -> impl Strategy<Value = usize> {
    prop_oneof![0..70_usize, 120..140_usize, 1000..1100_usize]
}

fn step() -> impl Strategy<Value = Step> {
    let many = || vec(index(), 0..12);
    let bits = || prop_oneof![Just(0), Just(u64::MAX), Just(1 << 63), any::<u64>()];
    prop_oneof![
        4 => index().prop_map(Step::Insert),
        3 => index().prop_map(Step::Remove),
        1 => (0..20_usize, bits()).prop_map(|(word, bits)| Step::InsertWord(word * 64, bits)),
        1 => (0..40_usize, bits()).prop_map(|(word, bits)| Step::RemoveWord(word * 64, bits)),
        1 => bits().prop_map(Step::RetainWords),
        1 => many().prop_map(Step::Union),
        1 => many().prop_map(Step::Subtract),
        1 => many().prop_map(Step::Intersect),
        1 => many().prop_map(Step::Assign),
        1 => Just(Step::Clear),
    ]
}

fn set(indexes: &[usize]) -> NodeSet {
    indexes.iter().copied().map(NodeId::new).collect()
}

fn bits_of(first: usize, bits: u64) -> Model {
    (0..64)
        .filter(|bit| bits & (1 << bit) != 0)
        .map(|bit| first + bit)
        .collect()
}

fn apply(step: &Step, set_: &mut NodeSet, model: &mut Model) {
    match step {
        Step::Insert(index) => {
            assert_eq!(set_.insert(NodeId::new(*index)), model.insert(*index));
        }
        Step::Remove(index) => {
            assert_eq!(set_.remove(NodeId::new(*index)), model.remove(index));
        }
        Step::InsertWord(first, bits) => {
            set_.insert_word(*first, *bits);
            model.extend(bits_of(*first, *bits));
        }
        Step::RemoveWord(first, bits) => {
            set_.remove_word(*first, *bits);
            let gone = bits_of(*first, *bits);
            model.retain(|index| !gone.contains(index));
        }
        Step::RetainWords(mask) => {
            let (mut asked, mut dropped) = (Model::new(), Model::new());
            set_.retain_words(
                |first, bits| {
                    assert_ne!(bits, 0, "words without a node are not asked about");
                    asked.extend(bits_of(first, bits));
                    *mask
                },
                |first, bits| dropped.extend(bits_of(first, bits)),
            );
            assert_eq!(asked, *model);
            let gone: Model = (model.iter().copied())
                .filter(|index| mask & (1 << (index % 64)) == 0)
                .collect();
            assert_eq!(dropped, gone);
            model.retain(|index| !gone.contains(index));
        }
        Step::Union(other) => {
            set_.union(&set(other));
            model.extend(other);
        }
        Step::Subtract(other) => {
            set_.subtract(&set(other));
            model.retain(|index| !other.contains(index));
        }
        Step::Intersect(other) => {
            let shares = model.iter().any(|index| other.contains(index));
            assert_eq!(set_.intersects(&set(other)), shares);
            assert_eq!(set(other).intersects(set_), shares);
            set_.intersect(&set(other));
            model.retain(|index| other.contains(index));
        }
        Step::Assign(other) => {
            set_.assign(&set(other));
            *model = other.iter().copied().collect();
        }
        Step::Clear => {
            set_.clear();
            model.clear();
        }
    }
}

fn check(set_: &NodeSet, model: &Model) {
    let listed: Vec<usize> = set_.iter().map(NodeId::index).collect();
    assert_eq!(listed, model.iter().copied().collect::<Vec<_>>());
    assert_eq!(set_.len(), model.len());
    assert_eq!(set_.is_empty(), model.is_empty());
    for limit in [0, 1, 3, model.len(), model.len() + 1] {
        assert_eq!(set_.is_at_most(limit), model.len() <= limit);
    }
    for index in [0, 1, 63, 64, 130, 1063, 5000] {
        assert_eq!(set_.contains(NodeId::new(index)), model.contains(&index));
    }
    // Equal whatever memory and span lie behind it.
    let indexes: Vec<usize> = model.iter().copied().collect();
    assert_eq!(*set_, set(&indexes));
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn it_is_a_set(steps in vec(step(), 1..40)) {
        let (mut set, mut model) = (NodeSet::new(), Model::new());
        for step in &steps {
            apply(step, &mut set, &mut model);
            check(&set, &model);
        }
    }

    #[test]
    fn a_posting_is_a_set_on_both_sides_of_its_threshold(
        steps in vec((any::<bool>(), 0..150_usize), 1..600)
    ) {
        let (mut posting, mut model) = (Posting::default(), Model::new());
        for (insert, index) in steps {
            // Mostly upwards, then mostly downwards.
            if insert || index % 3 == 0 && model.len() < 100 {
                posting.insert(NodeId::new(index));
                model.insert(index);
            } else {
                posting.remove(NodeId::new(index));
                model.remove(&index);
            }
            prop_assert_eq!(posting.len(), model.len());
            prop_assert_eq!(posting.is_empty(), model.is_empty());
            prop_assert_eq!(posting.contains(NodeId::new(index)), model.contains(&index));
        }
        let mut listed = Vec::new();
        posting.for_each(|node| listed.push(node.index()));
        prop_assert_eq!(&listed, &model.iter().copied().collect::<Vec<_>>());
        let mut added = NodeSet::single(NodeId::new(999));
        posting.add_to(&mut added);
        prop_assert_eq!(added.len(), model.len() + 1);
    }
}

#[test]
fn a_posting_of_many_goes_back_to_few() {
    let mut posting = Posting::default();
    for index in 0..65 {
        assert!(matches!(posting, Posting::Few(_)));
        posting.insert(NodeId::new(index));
    }
    assert!(matches!(posting, Posting::Many(_)));
    for index in (33..65).rev() {
        posting.remove(NodeId::new(index));
        assert!(matches!(posting, Posting::Many(_)));
    }
    posting.remove(NodeId::new(32));
    assert!(matches!(posting, Posting::Few(_)));
    assert_eq!(posting.len(), 32);
}
