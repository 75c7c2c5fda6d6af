//! Node selectors and node affinity, as component-helpers `scheduling/corev1/nodeaffinity`.

use std::fmt::Arguments;

use super::label_syntax::{self, go_integer, listed, together};
use crate::{api, config};

/// Labels of one node, by key.
pub trait LabelView {
    /// The value of the label, if the node has it.
    fn label(&self, key: &str) -> Option<&str>;
    /// The node's name, which `metadata.name` in matchFields means.
    fn name(&self) -> &str;
}

/// How a requirement compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operator {
    /// The label has one of the values.
    In,
    /// The label has none of the values, or is absent.
    NotIn,
    /// The label is present.
    Exists,
    /// The label is absent.
    DoesNotExist,
    /// The label, as an integer, is greater.
    Gt,
    /// The label, as an integer, is less.
    Lt,
}

impl Operator {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "In" => Self::In,
            "NotIn" => Self::NotIn,
            "Exists" => Self::Exists,
            "DoesNotExist" => Self::DoesNotExist,
            "Gt" => Self::Gt,
            "Lt" => Self::Lt,
            _ => return None,
        })
    }
}

fn unsupported(place: Arguments<'_>, operator: &str, known: &str) -> String {
    format!("{place}operator: Unsupported value: {operator:?}: supported values: {known}")
}

/// One requirement on a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Requirement {
    /// Label key.
    pub key: Box<str>,
    /// Comparison.
    pub operator: Operator,
    /// Values; exactly one number for Gt and Lt.
    pub values: Box<[Box<str>]>,
    number: i64,
}

impl Requirement {
    /// A requirement that the label is present with exactly this value.
    pub fn equals(key: &str, value: &str) -> Self {
        Self {
            key: key.into(),
            operator: Operator::In,
            values: [value.into()].into(),
            number: 0,
        }
    }

    /// A requirement of a label selector, which knows fewer operators than one of a node selector.
    ///
    /// # Errors
    ///
    /// Upstream's text when it cannot be read. Source: `metav1.LabelSelectorAsSelector`.
    pub(super) fn of_labels(requirement: &api::Requirement) -> Result<Self, String> {
        let operator = Operator::named(&requirement.operator)
            .filter(|operator| !matches!(operator, Operator::Gt | Operator::Lt))
            .ok_or_else(|| {
                let operator = &requirement.operator;
                format!("{operator:?} is not a valid label selector operator")
            })?;
        let read = Self::read(operator, requirement, format_args!(""));
        read.map_err(|faults| together(faults).unwrap_or_default())
    }

    /// A requirement of a node selector, or all that is wrong with it, each after `place`. Source:
    /// `nodeaffinity.nodeSelectorRequirementsAsSelector`.
    fn of_nodes(requirement: &api::Requirement, place: Arguments<'_>) -> Result<Self, Vec<String>> {
        const KNOWN: &str = r#""In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt""#;
        match Operator::named(&requirement.operator) {
            Some(operator) => Self::read(operator, requirement, place),
            None => Err(vec![unsupported(place, &requirement.operator, KNOWN)]),
        }
    }

    fn read(
        operator: Operator,
        requirement: &api::Requirement,
        place: Arguments<'_>,
    ) -> Result<Self, Vec<String>> {
        let (key, values) = (&requirement.key, &requirement.values);
        let faults = label_syntax::faults(place, key, operator, values);
        if !faults.is_empty() {
            return Err(faults);
        }
        let number = match operator {
            Operator::Gt | Operator::Lt => values.first().and_then(|value| go_integer(value)),
            _ => None,
        };
        Ok(Self {
            key: key.clone(),
            operator,
            values: values.clone().into(),
            number: number.unwrap_or(0),
        })
    }

    /// Whether a label value (None: absent) satisfies it.
    pub fn matches(&self, value: Option<&str>) -> bool {
        let listed = |value: &str| self.values.iter().any(|one| &**one == value);
        match self.operator {
            Operator::In => value.is_some_and(listed),
            Operator::NotIn => !value.is_some_and(listed),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt => value
                .and_then(go_integer)
                .is_some_and(|it| it > self.number),
            Operator::Lt => value
                .and_then(go_integer)
                .is_some_and(|it| it < self.number),
        }
    }
}

/// A requirement on the node's name, from matchFields.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct NameRequirement {
    equal: bool,
    name: Box<str>,
}

impl NameRequirement {
    /// None for a field that nodes do not have; or what is wrong with it, after `place`. Source:
    /// `nodeaffinity.nodeSelectorRequirementsAsFieldSelector`.
    fn read(field: &api::Requirement, place: Arguments<'_>) -> Result<Option<Self>, String> {
        let equal = match &*field.operator {
            "In" => true,
            "NotIn" => false,
            other => return Err(unsupported(place, other, r#""In", "NotIn""#)),
        };
        let [name] = field.values.as_slice() else {
            let values = listed(&field.values);
            return Err(format!(
                "{place}values: Invalid value: {values}: must have one element"
            ));
        };
        let known = &*field.key == "metadata.name";
        Ok(known.then(|| Self {
            equal,
            name: name.clone(),
        }))
    }
}

/// One term: all of its requirements must hold. An empty term matches nothing, and neither does
/// one that does not parse.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeTerm {
    requirements: Box<[Requirement]>,
    names: Box<[NameRequirement]>,
    valid: bool,
}

impl NodeTerm {
    /// The term, and all that is wrong with it, each after `place`. Source:
    /// `nodeaffinity.newNodeSelectorTerm`.
    fn compile(term: &api::NodeSelectorTerm, place: Arguments<'_>) -> (Self, Vec<String>) {
        let mut faults = Vec::new();
        let mut requirements = Vec::new();
        for (index, one) in term.match_expressions.iter().enumerate() {
            match Requirement::of_nodes(one, format_args!("{place}.matchExpressions[{index}].")) {
                Ok(requirement) => requirements.push(requirement),
                Err(of_it) => faults.extend(of_it),
            }
        }
        let mut names = Vec::new();
        for (index, one) in term.match_fields.iter().enumerate() {
            match NameRequirement::read(one, format_args!("{place}.matchFields[{index}].")) {
                Ok(name) => names.extend(name),
                Err(fault) => faults.push(fault),
            }
        }
        let empty = term.match_expressions.is_empty() && term.match_fields.is_empty();
        let known = names.len() == term.match_fields.len();
        let valid = faults.is_empty() && known && !empty;
        let term = Self {
            requirements: requirements.into(),
            names: names.into(),
            valid,
        };
        (term, faults)
    }

    /// A term of which nobody is told what is wrong with it.
    fn lenient(term: &api::NodeSelectorTerm) -> Self {
        Self::compile(term, format_args!("")).0
    }

    /// Whether it parsed and is not empty.
    pub fn is_valid(&self) -> bool {
        self.valid
    }

    /// The requirements on labels.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether the term says something about the node's name.
    pub fn has_names(&self) -> bool {
        !self.names.is_empty()
    }

    /// Whether the node's name passes matchFields.
    pub fn matches_name(&self, name: &str) -> bool {
        self.names
            .iter()
            .all(|requirement| (*requirement.name == *name) == requirement.equal)
    }

    /// Whether the node matches the whole term.
    pub fn matches(&self, node: &impl LabelView) -> bool {
        self.valid
            && self
                .requirements
                .iter()
                .all(|one| one.matches(node.label(&one.key)))
            && self.matches_name(node.name())
    }
}

/// Required terms, ORed. No terms match nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequiredTerms(pub Box<[NodeTerm]>);

impl RequiredTerms {
    /// Reads the API's form.
    pub fn compile(selector: &api::NodeSelector) -> Self {
        Self(
            selector
                .node_selector_terms
                .iter()
                .map(NodeTerm::lenient)
                .collect(),
        )
    }

    /// Reads the node affinity of a volume. Upstream compares it with a node's labels alone, so that
    /// no node has a name that it asks for. Source: component-helpers
    /// `storage/volume.CheckNodeAffinity`.
    pub fn of_volume(selector: &api::NodeSelector) -> Self {
        let mut terms = Self::compile(selector);
        for term in &mut terms.0 {
            term.valid &= !term.names.iter().any(|name| name.equal);
            term.names = Box::default();
        }
        terms
    }

    /// Reads the configuration's form.
    pub fn configured(selector: &config::NodeSelector) -> Self {
        let terms = selector.terms.iter();
        Self(terms.map(|term| NodeTerm::lenient(&plain(term))).collect())
    }

    /// Whether one of the terms matches.
    pub fn matches(&self, node: &impl LabelView) -> bool {
        self.0.iter().any(|term| term.matches(node))
    }

    /// The labels that they look at.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        let requirements = self.0.iter().flat_map(|term| term.requirements());
        requirements.map(|one| &*one.key)
    }

    /// The node names to which the terms confine the pod: every term has `metadata.name In`.
    /// Empty when they contradict each other. Source: NodeAffinity's PreFilter.
    pub fn confined_to(&self) -> Option<Vec<&str>> {
        if self.0.is_empty() {
            return None;
        }
        let mut names: Vec<&str> = Vec::new();
        for term in &self.0 {
            let mut of_term: Option<Option<&str>> = None;
            for requirement in term.names.iter().filter(|requirement| requirement.equal) {
                of_term = Some(match of_term {
                    None => Some(&requirement.name),
                    Some(Some(name)) if *name == *requirement.name => Some(name),
                    Some(_) => None,
                });
            }
            // A term without a name leaves the choice of nodes open.
            names.extend(of_term?);
        }
        names.sort_unstable();
        names.dedup();
        Some(names)
    }
}

/// A preferred term.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PreferredTerm {
    /// 1 to 100.
    pub weight: i32,
    /// What is preferred.
    pub term: NodeTerm,
}

impl PreferredTerm {
    /// Reads the API's form. Those of weight 0 and empty ones are left out.
    ///
    /// # Errors
    ///
    /// Upstream's text when one of them cannot be read. Source:
    /// `nodeaffinity.NewPreferredSchedulingTerms`.
    pub fn compile(list: &[api::PreferredTerm]) -> Result<Box<[Self]>, String> {
        let (mut terms, mut faults) = (Vec::new(), Vec::new());
        for (index, preferred) in list.iter().enumerate() {
            let term = &preferred.preference;
            let empty = term.match_expressions.is_empty() && term.match_fields.is_empty();
            if preferred.weight == 0 || empty {
                continue;
            }
            let (term, of_it) = NodeTerm::compile(term, format_args!("[{index}]"));
            faults.extend(of_it);
            terms.push(Self {
                weight: preferred.weight,
                term,
            });
        }
        match together(faults) {
            Some(fault) => Err(fault),
            None => Ok(terms.into()),
        }
    }

    /// Reads the configuration's form, which was checked when it was read.
    pub fn configured(list: &[config::PreferredTerm]) -> Box<[Self]> {
        let plain = |preferred: &config::PreferredTerm| api::PreferredTerm {
            weight: preferred.weight,
            preference: plain(&preferred.preference),
        };
        let list: Vec<_> = list.iter().map(plain).collect();
        Self::compile(&list).unwrap_or_default()
    }
}

/// A term of the configuration as one of the API, of which it is a copy.
fn plain(term: &config::NodeTerm) -> api::NodeSelectorTerm {
    let requirements = |list: &[config::NodeRequirement]| {
        let one = |one: &config::NodeRequirement| api::Requirement {
            key: one.key.as_str().into(),
            operator: one.operator.as_str().into(),
            values: one
                .values
                .iter()
                .map(|value| value.as_str().into())
                .collect(),
        };
        list.iter().map(one).collect()
    };
    api::NodeSelectorTerm {
        match_expressions: requirements(&term.match_expressions),
        match_fields: requirements(&term.match_fields),
    }
}

#[cfg(test)]
mod tests;
