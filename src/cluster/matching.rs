//! Which nodes match node selectors and tolerations, by the indexes.

use super::{Cluster, LabelIndex, NodeSet};
use crate::model::{NodeTerm, Operator, RequiredTerms, Requirement, Toleration};

impl Cluster {
    /// The nodes of `among` that match a pod's nodeSelector and required node affinity.
    pub fn matching_nodes(
        &self,
        selector: &[Requirement],
        required: Option<&RequiredTerms>,
        among: &NodeSet,
    ) -> NodeSet {
        let mut matching = among.clone();
        for requirement in selector {
            retain_matching(requirement, &self.labels, &mut matching);
        }
        match required {
            Some(terms) => self.matching_any(terms, &matching),
            None => matching,
        }
    }

    /// The nodes of `among` that match one of the terms.
    pub fn matching_any(&self, terms: &RequiredTerms, among: &NodeSet) -> NodeSet {
        let mut any = NodeSet::new();
        for term in &terms.0 {
            any.union(&self.matching_term(term, among));
        }
        any
    }

    /// The nodes of `among` that match the term.
    pub fn matching_term(&self, term: &NodeTerm, among: &NodeSet) -> NodeSet {
        if !term.is_valid() {
            return NodeSet::new();
        }
        let mut left = among.clone();
        for requirement in term.requirements() {
            retain_matching(requirement, &self.labels, &mut left);
        }
        if term.has_names() {
            left = left
                .iter()
                .filter(|&node| term.matches_name(self.node_name(node)))
                .collect();
        }
        left
    }

    /// The nodes with a taint that forbids pods with these tolerations to be placed there.
    pub fn untolerated_nodes(&self, tolerations: &[Toleration]) -> NodeSet {
        let mut hit = NodeSet::new();
        for (taint, nodes) in self.taints.iter() {
            if taint.effect.forbids() && !tolerations.iter().any(|one| one.tolerates(taint)) {
                nodes.add_to(&mut hit);
            }
        }
        hit
    }
}

/// Keeps the nodes that satisfy the requirement.
fn retain_matching(requirement: &Requirement, labels: &LabelIndex, left: &mut NodeSet) {
    let mut hit = NodeSet::new();
    let key = &*requirement.key;
    match requirement.operator {
        Operator::In | Operator::NotIn => {
            for value in &requirement.values {
                labels.with_value(key, value, &mut hit);
            }
        }
        Operator::Exists | Operator::DoesNotExist => labels.with_key(key, &mut hit),
        Operator::Gt | Operator::Lt => {
            labels.with_values(key, |value| requirement.matches(Some(value)), &mut hit);
        }
    }
    match requirement.operator {
        Operator::NotIn | Operator::DoesNotExist => left.subtract(&hit),
        _ => left.intersect(&hit),
    }
}
