//! What the engine wants, on its way to the API server and back.

use super::world::{Group, World, born};
use crate::engine::tests::*;
use crate::engine::{About, Action, GroupPhase, Nomination};

impl World {
    /// An effect reaches the server, or fails. Those about one object arrive in their order.
    pub(super) fn carry(&mut self, place: usize, fails: bool) {
        let about = self.lanes[place].about.clone();
        let first = self.lanes.iter().position(|effect| effect.about == about);
        let effect = self.lanes.remove(first.unwrap());
        let outcome = match (&effect.about, &effect.action) {
            (About::Group(object), Action::PatchGroup(status)) => {
                let named = |group: &Group| *group.name == *object.reference.name;
                let place = self.groups.iter().position(named).unwrap();
                if !fails && status.phase == GroupPhase::Scheduled {
                    self.groups[place].ran = object.generation.or(self.groups[place].object);
                    self.tell_group(place);
                }
                if fails {
                    Outcome::Failed("busy".to_owned())
                } else {
                    Outcome::Done
                }
            }
            (About::Pod(pod), action) => self.carry_for_pod(&pod.uid, action, fails),
            other => panic!("{other:?}"),
        };
        self.answers.push((effect.id, outcome));
    }

    fn carry_for_pod(&mut self, uid: &str, action: &Action, fails: bool) -> Outcome {
        let failed = |text: &str| Outcome::Failed(text.to_owned());
        let marked = self.dice.chance(30);
        let Some(pod) = self.pods.get_mut(uid).filter(|pod| !pod.gone) else {
            return Outcome::PodGone;
        };
        match action {
            // The condition may have been written before the deletion was refused.
            Action::Evict(_) if fails => {
                pod.preempted |= marked;
                self.news.insert(uid.to_owned());
                failed("too many requests")
            }
            _ if fails => failed("busy"),
            Action::Evict(_) => {
                self.edit(uid, "is evicted", |pod| pod.preempted = true);
                self.delete(uid);
                Outcome::Done
            }
            Action::Bind { .. } if pod.terminating => failed("is being deleted"),
            Action::Bind { .. } if pod.node.is_some() => failed("is bound"),
            Action::Bind { node } => {
                let node = node.to_string();
                self.edit(uid, &format!("is bound to {node}"), |pod| {
                    (pod.node, pod.condition) = (Some(node), None);
                    pod.nominated.clear();
                });
                Outcome::Done
            }
            Action::PatchStatus(patch) => {
                if let Some(reason) = patch.reason() {
                    pod.condition = Some((reason.as_str(), patch.message().to_owned()));
                }
                match &patch.nomination {
                    Nomination::Keep => {}
                    Nomination::Clear => pod.nominated.clear(),
                    Nomination::Set(node) => pod.nominated = node.to_string(),
                }
                self.news.insert(uid.to_owned());
                Outcome::Done
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn answer(&mut self, place: usize) {
        let (id, outcome) = self.answers.remove(place);
        self.note(format_args!("{id:?} is answered: {outcome:?}"));
        self.book.answered(id, &outcome);
        self.engine.complete(id, outcome, self.now);
        self.who_gave_up();
    }

    /// Berth dies, and another life of it sees what there is. What was on its way may have arrived.
    pub(super) fn restart(&mut self) {
        self.note("Berth is killed");
        while !self.lanes.is_empty() {
            let fails = self.dice.chance(50);
            self.carry(0, fails);
        }
        self.answers.clear();
        self.news.clear();
        self.pods.retain(|_, pod| !pod.gone);
        self.metrics = Arc::new(Metrics::new().unwrap());
        let seed = self.dice.next();
        self.engine = born(seed, &self.metrics);
        self.book.begin_again();
        for name in Vec::from_iter(self.nodes.keys().cloned()) {
            self.tell_node(&name);
        }
        (0..self.groups.len()).for_each(|place| self.tell_group(place));
        (0..self.budgets.len()).for_each(|place| self.tell_budget(place));
        for uid in Vec::from_iter(self.pods.keys().cloned()) {
            self.tell_pod(&uid);
        }
        self.apply(Change::Synced);
        self.keep_nominations();
    }
}
