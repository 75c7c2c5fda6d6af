#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;

use super::*;
use crate::plugins::testing::plain::PlainPod;

impl ClassTable {
    /// Fails unless the classes have as many pods as there are, and none is kept for nobody.
    pub(in crate::engine) fn audit(&self, pods: impl Iterator<Item = ClassId>) {
        let mut counted: BTreeMap<ClassId, usize> = BTreeMap::new();
        for class in pods {
            *counted.entry(class).or_default() += 1;
        }
        let mut known = 0;
        for (place, class) in self.classes.iter().enumerate() {
            let id = ClassId(u32::try_from(place).unwrap());
            let Some(class) = class else {
                assert!(self.free.contains(&id) && !counted.contains_key(&id));
                continue;
            };
            known += 1;
            assert_eq!(class.pods, counted.get(&id).copied().unwrap_or(0));
            assert_eq!(self.cached.contains(&id), class.evaluation.is_some());
            assert!(class.pods > 0 || class.evaluation.is_some());
            let key = (class.profile, Arc::clone(&class.shape));
            assert_eq!(self.by_shape.get(&key), Some(&id));
        }
        assert_eq!(known + self.free.len(), self.classes.len());
        assert_eq!(self.by_shape.len(), known);
        assert!(self.cached.len() <= CACHE_MAX);
    }
}

fn shape(cpu: i64) -> PodShape {
    let pod = PlainPod::asking("pod", &[("cpu", cpu)]).compiled("", 1);
    pod.waiting.unwrap().shape
}

#[test]
fn equal_pods_of_one_profile_share_a_class() {
    let mut table = ClassTable::default();
    let one = table.join(0, shape(1));
    assert_eq!(table.join(0, shape(1)), one);
    let other = table.join(0, shape(2));
    let elsewhere = table.join(1, shape(1));
    assert!(one != other && one != elsewhere);
    table.audit([one, one, other, elsewhere].into_iter());
    assert_eq!(*table.get(other).unwrap().1.as_ref(), shape(2));
    table.leave(one);
    table.leave(other);
    assert!(table.get(one).is_some() && table.get(other).is_none());
    // The place is taken again.
    assert_eq!(table.join(0, shape(3)), other);
    table.audit([one, other, elsewhere].into_iter());
}

#[test]
fn a_class_outlives_its_pods_with_its_evaluation() {
    let mut table = ClassTable::default();
    let id = table.join(0, shape(1));
    let evaluation = table.lend(id);
    table.give_back(id, evaluation);
    table.leave(id);
    table.audit(std::iter::empty());
    assert_eq!(table.join(0, shape(1)), id, "a job's next pod finds it");
    table.leave(id);
    table.reset(id);
    assert!(table.get(id).is_none());
    table.audit(std::iter::empty());
}

#[test]
fn the_least_recently_used_evaluation_goes_first() {
    let mut table = ClassTable::default();
    let ids: Vec<ClassId> = (0..2 * CACHE_MAX as i64)
        .map(|cpu| table.join(0, shape(cpu)))
        .collect();
    let used = |table: &mut ClassTable, id: ClassId| {
        let evaluation = table.lend(id);
        table.give_back(id, evaluation);
    };
    for &id in &ids {
        used(&mut table, id);
        used(&mut table, ids[0]);
        table.audit(ids.iter().copied());
    }
    assert_eq!(table.cached.len(), CACHE_MAX);
    let held = |id: ClassId| table.cached.contains(&id);
    assert!(held(ids[0]) && held(*ids.last().unwrap()) && !held(ids[1]));
}

#[test]
fn an_evaluation_lost_to_a_panic_leaves_a_class_that_works() {
    let mut table = ClassTable::default();
    let id = table.join(0, shape(1));
    drop(table.lend(id));
    table.reset(id);
    table.audit(std::iter::once(id));
    let evaluation = table.lend(id);
    table.give_back(id, evaluation);
    table.audit(std::iter::once(id));
}
