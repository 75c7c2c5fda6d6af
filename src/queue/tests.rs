#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod order;
mod waking;

use super::*;
use crate::plugins::default_profile;

impl SchedulingQueue {
    /// Fails unless every pod is in the one place that its state says.
    pub(crate) fn audit(&self) {
        let mut places = 0;
        for (key, pod) in &self.pods {
            let order = pod.order();
            let held = match pod.state {
                State::Active => self.active.contains(&order),
                State::Backoff(until) => self.backoff.contains(&(until, order)),
                State::ErrorBackoff(until) => self.error_backoff.contains(&(until, *key)),
                State::Unschedulable => self
                    .unschedulable
                    .get(&pod.group())
                    .is_some_and(|pods| pods.contains(key)),
                State::Gated => self.gated.contains(key),
                State::InFlight => {
                    places -= 1;
                    true
                }
            };
            assert!(held, "{key:?} is not where it should be: {:?}", pod.state);
            places += 1;
        }
        let unschedulable: usize = self.unschedulable.values().map(BTreeSet::len).sum();
        assert_eq!(unschedulable, self.unschedulable_count);
        assert!(self.unschedulable.values().all(|pods| !pods.is_empty()));
        let all = self.active.len()
            + self.backoff.len()
            + self.error_backoff.len()
            + unschedulable
            + self.gated.len();
        assert_eq!(all, places as usize, "some pod is in a second place");
    }
}

fn queue() -> SchedulingQueue {
    SchedulingQueue::new(Backoff::default(), Arc::new(Metrics::new().unwrap()))
}

/// Adds pods: key, priority, and the second of their arrival.
fn add(queue: &mut SchedulingQueue, pods: &[(u64, i32, u64)]) {
    for &(key, priority, second) in pods {
        let now = Time::from_secs(second);
        queue.add(PodKey(key), priority, ClassId(0), PluginSet::default(), now);
    }
}

/// Takes out all there is to try.
fn drain(queue: &mut SchedulingQueue, second: u64) -> Vec<u64> {
    let now = Time::from_secs(second);
    std::iter::from_fn(|| queue.pop(now).map(|key| key.0)).collect()
}

/// A set of plugins of some profile, by their places.
fn set(places: &[usize]) -> PluginSet {
    let profile = default_profile("berth");
    let indexes: Vec<_> = profile.plugins().map(|(index, _)| index).collect();
    let mut plugins = PluginSet::default();
    for &place in places {
        plugins.insert(indexes[place]);
    }
    plugins
}
