//! Taints and tolerations, as `k8s.io/api/core/v1/toleration.go` and
//! `k8s.io/component-helpers/scheduling/corev1` read them.

use crate::api;

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Effect {
    /// Keeps pods from being placed.
    NoSchedule,
    /// Makes the node less wanted.
    PreferNoSchedule,
    /// Also evicts running pods.
    NoExecute,
    /// An effect this version does not know: it repels nobody.
    Other,
}

impl Effect {
    fn parse(text: &str) -> Self {
        match text {
            "NoSchedule" => Self::NoSchedule,
            "PreferNoSchedule" => Self::PreferNoSchedule,
            "NoExecute" => Self::NoExecute,
            _ => Self::Other,
        }
    }

    /// Whether a pod that does not tolerate the taint may not be placed.
    pub const fn forbids(self) -> bool {
        matches!(self, Self::NoSchedule | Self::NoExecute)
    }
}

/// A taint of a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Taint {
    /// Key.
    pub key: Box<str>,
    /// Value; may be empty.
    pub value: Box<str>,
    /// Effect.
    pub effect: Effect,
}

impl Taint {
    /// Reads the API's form.
    pub fn compile(taint: &api::Taint) -> Self {
        Self {
            key: taint.key.clone(),
            value: taint.value.clone(),
            effect: Effect::parse(&taint.effect),
        }
    }

    /// The taint that `spec.unschedulable` stands for.
    pub fn unschedulable() -> Self {
        Self {
            key: "node.kubernetes.io/unschedulable".into(),
            value: "".into(),
            effect: Effect::NoSchedule,
        }
    }
}

/// How a toleration compares values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TolerationOperator {
    /// Values are equal. Also the meaning of no operator.
    Equal,
    /// Any value.
    Exists,
    /// Anything else. `Lt` and `Gt` belong to a gate that is off (TaintTolerationComparisonOperators),
    /// so they match nothing, as upstream.
    Never,
}

/// A toleration of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Toleration {
    key: Box<str>,
    operator: TolerationOperator,
    value: Box<str>,
    effect: Option<Effect>,
}

impl Toleration {
    /// Reads the API's form.
    pub fn compile(toleration: &api::Toleration) -> Self {
        Self {
            key: toleration.key.clone(),
            operator: match &*toleration.operator {
                "" | "Equal" => TolerationOperator::Equal,
                "Exists" => TolerationOperator::Exists,
                _ => TolerationOperator::Never,
            },
            value: toleration.value.clone(),
            effect: (!toleration.effect.is_empty()).then(|| Effect::parse(&toleration.effect)),
        }
    }

    /// Whether this toleration tolerates the taint.
    pub fn tolerates(&self, taint: &Taint) -> bool {
        if self.effect.is_some_and(|effect| effect != taint.effect) {
            return false;
        }
        if !self.key.is_empty() && self.key != taint.key {
            return false;
        }
        match self.operator {
            TolerationOperator::Equal => self.value == taint.value,
            TolerationOperator::Exists => true,
            TolerationOperator::Never => false,
        }
    }

    /// Whether it has a say about PreferNoSchedule taints: its effect is that, or empty.
    pub fn covers_preference(&self) -> bool {
        self.effect
            .is_none_or(|effect| effect == Effect::PreferNoSchedule)
    }
}

/// The first taint that forbids placement and that no toleration tolerates.
pub fn find_untolerated<'a>(taints: &'a [Taint], tolerations: &[Toleration]) -> Option<&'a Taint> {
    taints.iter().find(|taint| {
        taint.effect.forbids()
            && !tolerations
                .iter()
                .any(|toleration| toleration.tolerates(taint))
    })
}

#[cfg(test)]
mod tests;
