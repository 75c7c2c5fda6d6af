//! Whether a group may be tried, and if not, why.

use std::fmt;

use super::Gang;

/// Whether a group may be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// None of its pods waits.
    Idle,
    /// Not before something else has happened.
    Waits(Waits),
    /// Not as it is.
    Invalid(Invalid),
    /// Yes.
    Ready,
}

/// What a group waits for before it is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waits {
    /// Its object does not exist.
    Object,
    /// Too few of its pods exist.
    Pods {
        /// That exist and can be tried.
        exist: usize,
        /// That must.
        min: u32,
        /// That exist beside them and are held by gates.
        gated: usize,
        /// The roles of which there are too few.
        missing_roles: Vec<Box<str>>,
    },
}

/// Why a group cannot be tried as it is, in kube-scheduler's words where it has some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// Its object cannot be read.
    Unreadable(Box<str>),
    /// Its pods name several schedulers: the first two.
    SchedulerNames(Box<str>, Box<str>),
    /// Its pods have several priorities, or another one than the group: two of them.
    Priorities(i32, i32),
}

impl fmt::Display for Invalid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(reason) => write!(formatter, "the pod group cannot be read: {reason}"),
            Self::SchedulerNames(one, other) => write!(
                formatter,
                "all pods in a single pod group should have the same .spec.schedulerName set, got: {one:?} and {other:?}"
            ),
            Self::Priorities(one, other) => write!(
                formatter,
                "all pods in a single pod group should have the same priority as the pod group's priority, got {one} and {other}"
            ),
        }
    }
}

impl Gang {
    /// Whether it may be tried.
    pub fn readiness(&self) -> Readiness {
        let counts = self.counts();
        if counts.waiting() + counts.gated() == 0 {
            return Readiness::Idle;
        }
        if let Some(reason) = &self.unreadable {
            return Readiness::Invalid(Invalid::Unreadable(reason.clone()));
        }
        let Some(min) = self.min() else {
            return Readiness::Waits(Waits::Object);
        };
        if let Some(invalid) = self.invalid() {
            return Readiness::Invalid(invalid);
        }
        let missing_roles: Vec<_> = (self.roles().iter())
            .filter(|(role, asked)| {
                counts.live_in(role) + counts.waiting_in(role) < *asked as usize
            })
            .map(|(role, _)| role.clone())
            .collect();
        let enough = counts.existing() >= min as usize && missing_roles.is_empty();
        if counts.waiting() == 0 || !(enough || self.satisfied()) {
            return Readiness::Waits(Waits::Pods {
                exist: counts.existing(),
                min,
                gated: counts.gated(),
                missing_roles,
            });
        }
        Readiness::Ready
    }

    /// Whether it can be read and its members agree with each other.
    pub(super) fn is_valid(&self) -> bool {
        self.unreadable.is_none() && self.invalid().is_none()
    }

    fn invalid(&self) -> Option<Invalid> {
        let mut names = self.counts().scheduler_names();
        if let (Some(one), Some(other)) = (names.next(), names.next()) {
            return Some(Invalid::SchedulerNames(one.into(), other.into()));
        }
        let mut priorities = self.counts().priorities().rev();
        let first = priorities.next()?;
        let own = self.object.as_ref().and_then(|object| object.priority);
        let other = priorities.next().or(own.filter(|own| *own != first))?;
        Some(Invalid::Priorities(first, other))
    }
}
