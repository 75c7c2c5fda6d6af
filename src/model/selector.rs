//! Label selectors and selectors of pods.

use super::{Operator, Requirement, label_syntax};
use crate::api;

/// Labels, sorted by key.
pub type Labels = Box<[(Box<str>, Box<str>)]>;

/// Sorts labels by key.
pub fn labels(pairs: &api::Pairs) -> Labels {
    let mut labels = pairs.0.clone();
    labels.sort_unstable();
    labels.into()
}

/// The value of a label in sorted labels.
pub fn label<'a>(labels: &'a [(Box<str>, Box<str>)], key: &str) -> Option<&'a str> {
    let index = labels.binary_search_by(|(other, _)| (**other).cmp(key));
    let (_, value) = labels.get(index.ok()?)?;
    Some(value)
}

/// Requirements on labels that must all hold. None of them: every object; [`Self::Nothing`]: none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LabelSelector {
    /// Matches nothing, as an absent selector does.
    Nothing,
    /// All must hold.
    All(Box<[Requirement]>),
}

impl LabelSelector {
    /// Compiles the API's form.
    ///
    /// # Errors
    ///
    /// Upstream's text when an operator does not exist or does not go with its values, or when a key
    /// or value is none that a label can have. Source: `metav1.LabelSelectorAsSelector`.
    pub fn compile(selector: Option<&api::LabelSelector>) -> Result<Self, String> {
        let Some(selector) = selector else {
            return Ok(Self::Nothing);
        };
        let mut requirements: Vec<_> = (selector.match_labels.iter())
            .map(|(key, value)| Requirement::equals(key, value))
            .collect();
        for requirement in &requirements {
            let (key, values) = (&requirement.key, &requirement.values);
            let faults = label_syntax::faults(format_args!(""), key, Operator::In, values);
            if let Some(fault) = label_syntax::together(faults) {
                return Err(fault);
            }
        }
        for expression in &selector.match_expressions {
            requirements.push(Requirement::of_labels(expression)?);
        }
        Ok(Self::of(requirements))
    }

    /// Of requirements in any order: two selectors that differ in it alone are one.
    pub fn of(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_unstable();
        requirements.dedup();
        Self::All(requirements.into())
    }

    /// This one, and these labels besides. One that matches nothing stays so.
    #[must_use]
    pub fn and(&self, more: impl IntoIterator<Item = Requirement>) -> Self {
        match self {
            Self::Nothing => Self::Nothing,
            Self::All(held) => Self::of(held.iter().cloned().chain(more).collect()),
        }
    }

    /// The requirements; none also when it matches nothing.
    pub fn requirements(&self) -> &[Requirement] {
        match self {
            Self::Nothing => &[],
            Self::All(requirements) => requirements,
        }
    }

    /// Whether it matches every object.
    pub fn is_everything(&self) -> bool {
        matches!(self, Self::All(requirements) if requirements.is_empty())
    }

    /// Whether it matches these labels.
    pub fn matches(&self, labels: &[(Box<str>, Box<str>)]) -> bool {
        match self {
            Self::Nothing => false,
            Self::All(requirements) => {
                (requirements.iter()).all(|one| one.matches(label(labels, &one.key)))
            }
        }
    }
}

/// Which pods a term means: those of some namespaces, by label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodSelector {
    /// Namespaces by name, sorted.
    pub namespaces: Box<[Box<str>]>,
    /// Namespaces by label.
    pub namespace_selector: LabelSelector,
    /// The pods, by label.
    pub selector: LabelSelector,
}

impl PodSelector {
    /// Whether it means pods with these labels in this namespace. Of a namespace whose labels are
    /// None only its name counts, or that all are meant. Source: `AffinityTerm.Matches`.
    pub fn matches(
        &self,
        namespace: &str,
        namespace_labels: Option<&[(Box<str>, Box<str>)]>,
        labels: &[(Box<str>, Box<str>)],
    ) -> bool {
        let by_label = || match namespace_labels {
            Some(labels) => self.namespace_selector.matches(labels),
            None => self.namespace_selector.is_everything(),
        };
        let by_name = || self.namespaces.iter().any(|one| **one == *namespace);
        (by_name() || by_label()) && self.selector.matches(labels)
    }
}

#[cfg(test)]
mod tests;
