//! Who waits for which victims, and who has evicted too often in vain.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};

use super::UnderWay;
use crate::engine::EffectId;
use crate::model::Time;
use crate::queue::PodKey;
use crate::telemetry::metrics::Preemptor;

/// After this many waves of evictions without being placed a preemptor rests.
const LIMIT: u32 = 8;
/// How long it rests.
const REST: Duration = Duration::from_secs(10 * 60);
/// How long it waits after its second wave before the next one; doubled with each further one. The
/// first one may have come too early, or somebody else was faster.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest such wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Why a preemptor may not evict now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Denied {
    /// It has done so a moment ago.
    Recently,
    /// It has done so too often without getting the room.
    Often {
        /// How often.
        waves: u32,
        /// Whether that was said before.
        told: bool,
    },
}

impl fmt::Display for Denied {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recently => formatter.write_str("not eligible due to a recent preemption."),
            Self::Often { waves, .. } => write!(
                formatter,
                "not eligible due to {waves} preemptions without being placed."
            ),
        }
    }
}

/// What a preemptor has done so far.
#[derive(Clone, Debug, Default)]
struct Guard {
    waves: u32,
    next: Time,
    told: bool,
}

/// The preemptors.
#[derive(Debug, Default)]
pub(in crate::engine) struct Preemptions {
    /// The victims, by uid, that a preemptor waits for; never empty.
    waves: FxHashMap<PodKey, FxHashSet<Box<str>>>,
    by_victim: HashMap<Box<str>, Vec<PodKey>>,
    guards: FxHashMap<PodKey, Guard>,
    /// When who may evict again.
    due: BTreeSet<(Time, PodKey)>,
    under_way: FxHashMap<EffectId, UnderWay>,
    /// Pods, by uid, that were evicted, whether the watch has told so or not: by which effect last,
    /// until one was carried out.
    leaving: FxHashMap<Box<str>, Option<EffectId>>,
    /// What the API server has not answered all of yet.
    executions: FxHashMap<PodKey, Execution>,
}

/// The evictions of a preemption, until all are answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Execution {
    pub(super) kind: Preemptor,
    /// When they were sent, for metrics.
    pub(super) sent: f64,
    pub(super) unanswered: usize,
    pub(super) failed: bool,
}

impl Preemptions {
    /// Whether it waits for victims to go.
    pub(in crate::engine) fn waits(&self, key: PodKey) -> bool {
        self.waves.contains_key(&key)
    }

    /// Whether somebody waits for this pod to go.
    pub(in crate::engine) fn is_victim(&self, uid: &str) -> bool {
        self.by_victim.contains_key(uid)
    }

    /// Whether the preemptor may evict now. If not it will be let try again.
    pub(in crate::engine) fn allow(&mut self, key: PodKey, now: Time) -> Result<(), Denied> {
        let Some(guard) = self.guards.get_mut(&key) else {
            return Ok(());
        };
        if now >= guard.next {
            return Ok(());
        }
        self.due.insert((guard.next, key));
        if guard.waves.is_multiple_of(LIMIT) {
            let told = std::mem::replace(&mut guard.told, true);
            let waves = guard.waves;
            return Err(Denied::Often { waves, told });
        }
        Err(Denied::Recently)
    }

    /// The preemptor waits for these victims.
    pub(super) fn begin(&mut self, key: PodKey, victims: Vec<Box<str>>, now: Time) {
        self.end(key);
        let guard = self.guards.entry(key).or_default();
        guard.waves += 1;
        guard.told = false;
        guard.next = if guard.waves.is_multiple_of(LIMIT) {
            now + REST
        } else if guard.waves == 1 {
            now
        } else {
            let pause = PAUSE.saturating_mul(1 << (guard.waves - 2).min(16));
            now + pause.min(LONGEST_PAUSE)
        };
        for uid in &victims {
            self.by_victim.entry(uid.clone()).or_default().push(key);
        }
        if !victims.is_empty() {
            self.waves.insert(key, victims.into_iter().collect());
        }
    }

    /// It waits for them no longer.
    pub(super) fn end(&mut self, key: PodKey) {
        for uid in self.waves.remove(&key).unwrap_or_default() {
            if let Some(waiting) = self.by_victim.get_mut(&uid) {
                waiting.retain(|other| *other != key);
                if waiting.is_empty() {
                    self.by_victim.remove(&uid);
                }
            }
        }
    }

    /// The preemptor is placed, or gone.
    pub(in crate::engine) fn forget(&mut self, key: PodKey) {
        self.end(key);
        if let Some(guard) = self.guards.remove(&key) {
            self.due.remove(&(guard.next, key));
        }
    }

    /// Whether the pod was evicted.
    pub(in crate::engine) fn is_leaving(&self, uid: &str) -> bool {
        self.leaving.contains_key(uid)
    }

    /// The pods that were evicted, which are forgotten.
    pub(in crate::engine) fn take_leaving(&mut self) -> impl Iterator<Item = Box<str>> {
        std::mem::take(&mut self.leaving).into_keys()
    }

    /// The pod leaves for certain.
    pub(super) fn leaves(&mut self, uid: &str) {
        if let Some(eviction) = self.leaving.get_mut(uid) {
            *eviction = None;
        }
    }

    /// An eviction has failed. Answers whether the pod stays after all: not if it was evicted again
    /// since then, or before with success.
    pub(super) fn stays(&self, uid: &str, eviction: EffectId) -> bool {
        self.leaving.get(uid) == Some(&Some(eviction))
    }

    /// A pod is gone, or stays. Answers who has waited for it to go, and whether for nobody else.
    pub(super) fn gone(&mut self, uid: &str) -> Vec<(PodKey, bool)> {
        self.leaving.remove(uid);
        let waiting = self.by_victim.remove(uid).unwrap_or_default();
        let mut preemptors = Vec::with_capacity(waiting.len());
        for key in waiting {
            if let Some(last) = self.leave_out(key, uid) {
                preemptors.push((key, last));
            }
        }
        preemptors
    }

    fn leave_out(&mut self, key: PodKey, uid: &str) -> Option<bool> {
        let victims = self.waves.get_mut(&key)?;
        if !victims.remove(uid) {
            return None;
        }
        let last = victims.is_empty();
        if last {
            self.waves.remove(&key);
        }
        Some(last)
    }

    pub(super) fn sent(&mut self, id: EffectId, under_way: UnderWay, execution: Execution) {
        let key = under_way.preemptor;
        self.leaving.insert(under_way.victim.uid.clone(), Some(id));
        self.under_way.insert(id, under_way);
        let held = self.executions.entry(key).or_insert(execution);
        held.unanswered += 1;
    }

    /// An eviction was answered: which, and with it the whole if it was the last one.
    pub(super) fn answered(
        &mut self,
        id: EffectId,
        failed: bool,
    ) -> Option<(UnderWay, Option<Execution>)> {
        let under_way = self.under_way.remove(&id)?;
        let key = under_way.preemptor;
        let execution = self.executions.get_mut(&key).map(|execution| {
            execution.unanswered -= 1;
            execution.failed |= failed;
            *execution
        });
        let over = execution.filter(|execution| execution.unanswered == 0);
        if over.is_some() {
            self.executions.remove(&key);
        }
        Some((under_way, over))
    }

    /// When the next one may evict again.
    pub(in crate::engine) fn next_deadline(&self) -> Option<Time> {
        self.due.first().map(|(time, _)| *time)
    }

    /// Takes out those who may evict again.
    pub(super) fn take_due(&mut self, now: Time) -> Vec<PodKey> {
        let mut ripe = Vec::new();
        while let Some(&(time, key)) = self.due.first()
            && time <= now
        {
            self.due.pop_first();
            ripe.push(key);
        }
        ripe
    }

    /// The victims that a preemptor waits for.
    #[cfg(test)]
    pub(in crate::engine) fn victims_of(&self, key: PodKey) -> BTreeSet<&str> {
        let victims = self.waves.get(&key).into_iter().flatten();
        victims.map(|uid| &**uid).collect()
    }

    /// How often a preemptor has evicted.
    #[cfg(test)]
    pub(in crate::engine) fn waves_of(&self, key: PodKey) -> u32 {
        self.guards.get(&key).map_or(0, |guard| guard.waves)
    }

    /// Whether nothing is remembered of anybody.
    #[cfg(test)]
    pub(in crate::engine) fn is_empty(&self) -> bool {
        let nobody = self.waves.is_empty() && self.guards.is_empty() && self.due.is_empty();
        nobody && self.under_way.is_empty() && self.executions.is_empty()
    }

    /// Fails unless both directions agree and only these wait.
    #[cfg(test)]
    pub(in crate::engine) fn audit(&self, may_be: impl Fn(PodKey) -> bool) {
        let pairs: usize = self.waves.values().map(FxHashSet::len).sum();
        assert_eq!(pairs, self.by_victim.values().map(Vec::len).sum::<usize>());
        for (key, victims) in &self.waves {
            assert!(!victims.is_empty());
            assert!(may_be(*key), "{key:?} is forgotten");
            assert!(victims.iter().all(|uid| self.by_victim[uid].contains(key)));
        }
        assert!(self.guards.keys().all(|key| may_be(*key)));
    }
}

#[cfg(test)]
mod tests;
