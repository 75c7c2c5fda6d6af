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

impl QueuedPod {
    /// The members that listen for a gang.
    pub(crate) fn listeners(&self) -> &[PodKey] {
        &self.listeners
    }
}

impl SchedulingQueue {
    /// The groups that listen to none of these topics.
    pub(crate) fn deaf_to(&self, topics: &[Topic]) -> Vec<WaitGroup> {
        let listening = self.unschedulable.listening_to(topics);
        let all = self.unschedulable.all().copied();
        all.filter(|group| !listening.contains(group)).collect()
    }

    /// Fails unless every pod is in the one place that its state says.
    pub(crate) fn audit(&self) {
        let mut places = 0_isize;
        for (key, pod) in &self.pods {
            let order = pod.order();
            let held = match pod.state {
                State::Active => self.active.contains(&order),
                State::Backoff(until) => self.backoff.contains(&(until, order)),
                State::ErrorBackoff(until) => self.error_backoff.contains(&(until, *key)),
                State::Unschedulable if pod.since.is_some() => {
                    let mut listeners = pod.listeners.iter();
                    places += pod.listeners.len() as isize - 1;
                    listeners.all(|member| {
                        let listens = self
                            .unschedulable
                            .contains(*member, &self.pods[member].group());
                        listens && self.pods[member].listens && self.pods[member].gang == Some(*key)
                    })
                }
                State::Unschedulable => self.unschedulable.contains(*key, &pod.group()),
                State::Gated => self.gated.contains(key),
                State::Unfinished => self.unfinished.contains(&order),
                State::InFlight | State::WithGang => {
                    places -= 1;
                    true
                }
            };
            assert!(held, "{key:?} is not where it should be: {:?}", pod.state);
            places += 1;
        }
        self.unschedulable.audit();
        let all = self.active.len()
            + self.backoff.len()
            + self.error_backoff.len()
            + self.unschedulable.len()
            + self.gated.len()
            + self.unfinished.len();
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

/// Rejects a pod, which then listens to nodes that come.
fn reject(queue: &mut SchedulingQueue, key: PodKey, rejectors: PluginSet, now: Time) {
    queue.reject(key, rejectors, PeerId::default(), now, |_| vec![NODES]);
}

const NODES: Topic = Topic::Kind(EventKind::NodeAdd);

/// A node comes; the groups that it helps.
fn node_comes(queue: &mut SchedulingQueue, second: u64, helps: impl FnMut(&WaitGroup) -> bool) {
    let now = Time::from_secs(second);
    queue.wake(
        EventKind::NodeAdd,
        &[NODES],
        Audience::up_to(i32::MAX),
        now,
        helps,
    );
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
