//! A Permit plugin that says what chance tells it to, and the pods that wait for its word.

use std::collections::BTreeSet;
use std::sync::Mutex;

use super::world::World;
use crate::cluster::{Cluster, NodeId};
use crate::engine::tests::*;
use crate::framework::{EventKind, EventSet, Permit, PermitAnswer, Plugin, Verdict};
use crate::model::{PodRef, PodShape};
use crate::plugins::testing::dice::Dice;

const NAME: &str = "Door";

/// The plugin.
pub(super) struct Door {
    mood: Mutex<Mood>,
}

struct Mood {
    dice: Dice,
    /// Of a hundred pods so many have to wait, and so many are refused.
    holds: u64,
    refuses: u64,
    /// Whom it has let wait and said nothing more of.
    waiting: BTreeSet<String>,
}

impl Door {
    pub(super) fn new(seed: u64, holds: u64, refuses: u64) -> Self {
        let mood = Mood {
            dice: Dice::new(seed),
            holds,
            refuses,
            waiting: BTreeSet::new(),
        };
        Self {
            mood: Mutex::new(mood),
        }
    }

    /// Everybody may pass from now on.
    pub(super) fn open(&self) {
        let mut mood = self.mood.lock().unwrap();
        (mood.holds, mood.refuses) = (0, 0);
    }

    fn is_silent_about(&self, uid: &str) -> bool {
        self.mood.lock().unwrap().waiting.contains(uid)
    }
}

impl Plugin for Door {
    fn name(&self) -> &'static str {
        NAME
    }

    fn permit(&self) -> Option<&dyn Permit> {
        Some(self)
    }

    /// Whom it has refused it may let pass when a node has other labels.
    fn events(&self) -> EventSet {
        EventSet::of(&[EventKind::NodeLabel])
    }
}

impl Permit for Door {
    fn permit(&self, pod: &PodRef, _: &PodShape, _: NodeId, _: &Cluster) -> PermitAnswer {
        let mut mood = self.mood.lock().unwrap();
        mood.waiting.remove(&*pod.uid);
        let rolled = mood.dice.below(100);
        if rolled < mood.holds {
            mood.waiting.insert(pod.uid.to_string());
            let seconds = *mood.dice.one_of(&[1, 5, 60]);
            PermitAnswer::Wait(SECOND * seconds)
        } else if rolled < mood.holds + mood.refuses {
            PermitAnswer::Reject("the door is shut".to_owned())
        } else {
            PermitAnswer::Allow
        }
    }
}

impl World {
    /// Pods that have a place, while their binds wait for permission.
    pub(super) fn held(&self) -> BTreeSet<String> {
        let engine = &self.scene.engine;
        let held = |key| {
            engine
                .pods
                .get(key)
                .is_some_and(|pod| pod.permission.is_some())
        };
        let held = engine.by_uid.iter().filter(|(_, key)| held(*key));
        held.map(|(uid, _)| uid.to_string()).collect()
    }

    pub(super) fn is_held(&self, uid: &str) -> bool {
        let engine = &self.scene.engine;
        let pod = engine.by_uid.get(uid).and_then(|key| engine.pods.get(key));
        pod.is_some_and(|pod| pod.permission.is_some())
    }

    /// The plugin says what it thinks of a pod after all.
    pub(super) fn say(&mut self, uid: &str, refusal: Option<&str>) {
        self.note(format_args!("the door says of {uid}: {refusal:?}"));
        if refusal.is_some() {
            self.lose(uid);
        }
        self.door.mood.lock().unwrap().waiting.remove(uid);
        let verdict = Verdict {
            uid: uid.into(),
            plugin: NAME.into(),
            refusal: refusal.map(str::to_owned),
        };
        let now = self.scene.now;
        self.scene.engine.permit(&verdict, now);
    }

    /// Nobody takes room whom the plugin does not let wait, or a member of the same gang.
    pub(super) fn who_is_held_waits_for_a_word(&self) {
        let held = self.held();
        for uid in &held {
            let gang = self.pods[uid].gang;
            let mate = |other: &&String| gang.is_some() && self.pods[*other].gang == gang;
            let mut asked = held.iter().filter(|other| *other == uid || mate(other));
            assert!(
                asked.any(|other| self.door.is_silent_about(other)),
                "{uid} is held for nothing"
            );
        }
    }
}
