//! Constraints that must hold. Source: `podtopologyspread/filtering.go`.

use super::{Inclusion, PodTopologySpread, with_all_labels};
use crate::cluster::{Cluster, NodeSet};
use crate::framework::{Code, Diagnosis, Incoming, PeerFilter, PreFilterAnswer, Reason};

const NO_LABEL: Reason =
    Reason::Text("node(s) didn't match pod topology spread constraints (missing required label)");
const UNEVEN: Reason = Reason::Text("node(s) didn't match pod topology spread constraints");

/// Up to this many nodes are asked one by one; more go by domain.
const ONE_BY_ONE: usize = 8;

impl PeerFilter for PodTopologySpread {
    fn pre_filter(&self, pod: Incoming<'_>, cluster: &Cluster) -> PreFilterAnswer {
        let class = cluster.peers().class(pod.peers);
        if let Some(error) = &class.spec().bad_spread {
            return PreFilterAnswer::Error(format!(
                "get constraints from pod: obtaining pod's hard topology spread constraints: {error}"
            ));
        }
        match self.asked(class, cluster.peers().topology(), true).next() {
            Some(_) => PreFilterAnswer::Proceed,
            None => PreFilterAnswer::Skip,
        }
    }

    fn filter(
        &self,
        pod: Incoming<'_>,
        cluster: &Cluster,
        left: &mut NodeSet,
        why: &mut Diagnosis,
    ) {
        let class = cluster.peers().class(pod.peers);
        let constraints = self.constraints(class, cluster, true);
        let counting = with_all_labels(cluster.nodes(), &constraints, cluster);
        let inclusion = Inclusion::new(pod, cluster, &constraints);
        for constraint in &constraints {
            let key = cluster.peers().topology().key(constraint.key);
            let mut without = left.clone();
            without.subtract(key.labelled());
            why.reject(left, &without, NO_LABEL, Code::Unresolvable);
            if left.is_empty() {
                return;
            }
            let counts = inclusion.counts(constraint, cluster, &counting);
            let enough_domains = (counts.domains() as i64) >= constraint.asked.min_domains;
            let least = if enough_domains {
                counts.min().unwrap_or(i64::from(i32::MAX))
            } else {
                0
            };
            let itself = i64::from(constraint.counts_itself);
            let uneven = |pods: i64| pods + itself - least > constraint.asked.max_skew;
            let mut hit = NodeSet::new();
            if left.is_at_most(ONE_BY_ONE) || uneven(0) {
                for node in left
                    .iter()
                    .filter(|&node| uneven(counts.of(key.value(node))))
                {
                    hit.insert(node);
                }
            } else {
                counts.for_each(key, |value, pods| {
                    if uneven(pods) {
                        key.nodes(value).add_to(&mut hit);
                    }
                });
            }
            why.reject(left, &hit, UNEVEN, Code::Unschedulable);
        }
    }
}
