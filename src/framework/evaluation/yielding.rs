//! Room that a pod leaves to others that are nominated to it.

use std::borrow::Cow;

use super::{Evaluation, Narrowed};
use crate::cluster::{Cluster, NodeId, NodeSet};
use crate::framework::{Diagnosis, Incoming, Nominations, Obstacle, Profile, left_beside};

impl Evaluation {
    /// Takes out the nodes that the pod would not fit if the pods were there that are nominated to
    /// them. To be called after [`Self::filter`].
    ///
    /// Each node is tried by itself. Nodes that are not feasible anyway are looked at only when
    /// none is left, since then their reasons are wanted.
    pub fn yield_to(
        &mut self,
        profile: &Profile,
        pod: Incoming<'_>,
        cluster: &mut Cluster,
        nominated: &Nominations<'_>,
    ) {
        if nominated.is_empty() || self.rejection.is_some() {
            return;
        }
        let narrowed = self.narrowed.as_ref();
        let (feasible, rejected): (Vec<_>, Vec<_>) = (nominated.nodes())
            .filter(|node| cluster.nodes().contains(*node))
            .filter(|node| narrowed.is_none_or(|narrowed| narrowed.nodes.contains(*node)))
            .partition(|node| self.feasible.contains(*node));
        for node in feasible {
            self.yield_on(profile, pod, cluster, node, nominated);
        }
        if !self.feasible.is_empty() || rejected.is_empty() {
            return;
        }
        let asked = match profile.obstacle(pod.shape, cluster, self.skipped) {
            Obstacle::Room(asked) => Some(asked),
            Obstacle::None | Obstacle::Pods => None,
        };
        for node in rejected {
            // Mostly the same is lacking with them as without them, and then the same is said.
            let same = |asked: &Vec<_>| {
                let beside =
                    |others| left_beside(cluster, asked, node, others).map(|left| left < 0);
                beside(nominated.on(node)).eq(beside(&[]))
            };
            if !asked.as_ref().is_some_and(same) {
                self.yield_on(profile, pod, cluster, node, nominated);
            }
        }
    }

    /// Takes note that the pod does not fit the node that it is itself nominated to. If PreFilters
    /// have ruled the node out, it is told of by itself and not among the others that they have,
    /// since upstream looks at it before it heeds them.
    pub fn refuse_own_nomination(
        &mut self,
        profile: &Profile,
        pod: Incoming<'_>,
        cluster: &mut Cluster,
        node: NodeId,
        nominated: &Nominations<'_>,
    ) {
        let outside = |narrowed: &Narrowed| !narrowed.nodes.contains(node);
        if !self.narrowed.as_ref().is_some_and(outside) {
            return;
        }
        let mut why = Diagnosis::default();
        let yields = (nominated, self.skipped);
        if !profile.fits_with_nominated(pod, cluster, node, yields, &mut why) {
            self.anew.absorb(why);
            self.yielded.insert(node);
        }
    }

    fn yield_on(
        &mut self,
        profile: &Profile,
        pod: Incoming<'_>,
        cluster: &mut Cluster,
        node: NodeId,
        nominated: &Nominations<'_>,
    ) {
        self.touched += 1;
        let mut why = Diagnosis::default();
        let nominated = (nominated.on(node), self.skipped);
        if profile.fits_beside(pod, cluster, node, nominated, &mut why) {
            return;
        }
        self.reduce();
        let single = NodeSet::single(node);
        self.feasible.subtract(&single);
        self.anew.forget(&single);
        self.anew.absorb(why);
        self.yielded.insert(node);
    }

    /// What the kept filters said, but of nodes where nominated pods made the difference.
    pub(super) fn kept_diagnosis(&self) -> Cow<'_, Diagnosis> {
        if self.yielded.is_empty() {
            return Cow::Borrowed(&self.diagnosis);
        }
        let mut diagnosis = self.diagnosis.clone();
        diagnosis.forget(&self.yielded);
        Cow::Owned(diagnosis)
    }
}
