//! Node selectors and node affinity, as component-helpers `scheduling/corev1/nodeaffinity`.

use super::label_syntax;
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
    /// Upstream's text when the operator does not exist or does not go with the values.
    pub(super) fn of_labels(requirement: &api::Requirement) -> Result<Self, String> {
        label_syntax::check(&requirement.key, &requirement.operator, &requirement.values)?;
        Self::compile(requirement).ok_or_else(|| {
            format!(
                "{:?} is not a valid label selector operator",
                requirement.operator
            )
        })
    }

    /// None when upstream's parser would refuse it.
    fn compile(requirement: &api::Requirement) -> Option<Self> {
        let operator = match &*requirement.operator {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            "Gt" => Operator::Gt,
            "Lt" => Operator::Lt,
            _ => return None,
        };
        let values = &requirement.values;
        let mut number = 0;
        match operator {
            Operator::In | Operator::NotIn if values.is_empty() => return None,
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => return None,
            Operator::Gt | Operator::Lt => match values.as_slice() {
                [one] => number = go_integer(one)?,
                _ => return None,
            },
            _ => {}
        }
        Some(Self {
            key: requirement.key.clone(),
            operator,
            values: values.clone().into(),
            number,
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

/// An integer as Go's `strconv.ParseInt(text, 10, 64)` reads it.
fn go_integer(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// A requirement on the node's name, from matchFields.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct NameRequirement {
    equal: bool,
    name: Box<str>,
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
    fn compile(term: &api::NodeSelectorTerm) -> Self {
        let requirements: Option<Box<[_]>> = term
            .match_expressions
            .iter()
            .map(Requirement::compile)
            .collect();
        let names: Option<Box<[_]>> = term
            .match_fields
            .iter()
            .map(|field| match (&*field.operator, field.values.as_slice()) {
                ("In", [name]) if &*field.key == "metadata.name" => Some(NameRequirement {
                    equal: true,
                    name: name.clone(),
                }),
                ("NotIn", [name]) if &*field.key == "metadata.name" => Some(NameRequirement {
                    equal: false,
                    name: name.clone(),
                }),
                _ => None,
            })
            .collect();
        let empty = term.match_expressions.is_empty() && term.match_fields.is_empty();
        let valid = requirements.is_some() && names.is_some() && !empty;
        Self {
            requirements: requirements.unwrap_or_default(),
            names: names.unwrap_or_default(),
            valid,
        }
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
                .map(NodeTerm::compile)
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
        Self(terms.map(|term| NodeTerm::compile(&plain(term))).collect())
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
    /// Reads the API's form; None for weight 0 and for an empty term, which upstream leaves out.
    pub fn compile(preferred: &api::PreferredTerm) -> Option<Self> {
        let term = &preferred.preference;
        let empty = term.match_expressions.is_empty() && term.match_fields.is_empty();
        (preferred.weight != 0 && !empty).then(|| Self {
            weight: preferred.weight,
            term: NodeTerm::compile(term),
        })
    }
}

impl PreferredTerm {
    /// Reads the configuration's form.
    pub fn configured(preferred: &config::PreferredTerm) -> Option<Self> {
        Self::compile(&api::PreferredTerm {
            weight: preferred.weight,
            preference: plain(&preferred.preference),
        })
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
