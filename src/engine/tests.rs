#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod errors;
mod evictions;
mod extension_points;
mod gangs;
mod histories;
mod nominations;
mod outcomes;
mod owners;
mod permits;
mod server;
mod slices;
mod volumes;
mod waking;
mod wild;
mod words;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use super::waking::asked;
use super::*;
use crate::framework::{ClusterEvent, Topic};
use crate::plugins::default_profile;
use crate::preemption::{Memory, Progress};

/// An engine of one profile that counts there.
fn counted_engine_of(profile: Profile, seed: u64, metrics: &Arc<Metrics>) -> Engine {
    Engine::new(Setup {
        profiles: vec![profile],
        backoff: Backoff::default(),
        seed,
        metrics: Arc::clone(metrics),
        stopwatch: Box::new(|| 0.0),
    })
}

/// An engine with the default plugins.
fn engine(seed: u64) -> Engine {
    let metrics = Arc::new(Metrics::new().unwrap());
    counted_engine_of(default_profile("berth"), seed, &metrics)
}

const SECOND: Duration = Duration::from_secs(1);

thread_local! {
    /// Where a search that remembers has found something else than one that does not.
    static STALE: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Notes for [`Engine::audit`] if a search that knows nothing finds something else. A panic would end
/// the attempt alone.
pub(super) fn is_as_anew<T: PartialEq + std::fmt::Debug>(
    found: &T,
    search: impl FnOnce((&mut Memory, &mut Progress)) -> T,
) {
    let anew = search((&mut Memory::default(), &mut Progress::unlimited()));
    if *found != anew {
        STALE.with_borrow_mut(|stale| stale.push(format!("{found:?} is now {anew:?}")));
    }
}

impl Engine {
    /// Fails if a hint would say yes to the event for a group that does not listen to it: asking
    /// all groups must come to the same.
    pub(super) fn nobody_else_is_helped(&self, event: &ClusterEvent<'_>, topics: &[Topic]) {
        for group in self.queue.deaf_to(topics) {
            let asked = asked(&self.profiles, &self.classes, &group).unwrap();
            for index in asked.rejectors.iter() {
                let plugin = asked.profile.plugin(index);
                assert!(
                    !plugin.events().contains(event.kind())
                        || !plugin.hint(event, asked.pod, &self.cluster),
                    "{} does not listen to {event:?}",
                    plugin.name()
                );
            }
        }
    }

    /// Fails unless the parts of the engine agree with each other.
    pub(crate) fn audit(&self) {
        STALE.with_borrow(|stale| assert!(stale.is_empty(), "{stale:#?}"));
        self.queue.audit();
        self.cluster.audit();
        self.gangs.table.audit();
        let gangs =
            (self.gangs.table.iter()).filter(|(_, gang)| self.queue.get(gang.unit).is_some());
        assert_eq!(
            self.queue.len(),
            self.pods.len() + gangs.count(),
            "one entry per waiting pod and per gang that may be tried"
        );
        assert_eq!(self.by_uid.len(), self.pods.len());
        self.nominator
            .audit(|key| self.pods.get(&key).is_some_and(|pod| pod.binding.is_none()));
        self.preemptions.audit(|key| {
            let gang = self.gangs.table.of_unit(key);
            self.pods.contains_key(&key) || gang.is_some()
        });
        self.classes.audit(self.pods.values().map(|pod| pod.class));
        for (key, pod) in &self.pods {
            assert_eq!(self.by_uid.get(&pod.reference.uid), Some(key));
            let queued = self.queue.get(*key).expect("a waiting pod is in the queue");
            assert_eq!(queued.class, pod.class);
            let binding = pod.binding.is_some();
            let in_flight = queued.state == State::InFlight;
            let placed = binding || pod.permission.is_some();
            assert_eq!(in_flight, placed, "{}", pod.reference);
            assert!(self.classes.get(pod.class).is_some());
        }
    }
}
