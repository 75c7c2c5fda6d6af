//! The kinds that are watched, as sources of changes.

use crate::api::{Kind, Meta, Namespace, Node, Pod, PriorityClass};
use crate::engine::Change;
use crate::runtime::mailbox::Subject;

/// A kind as a source of changes.
pub(in crate::runtime) trait Source: Kind {
    /// Whether decisions can do without it: a server that forbids it (kube-scheduler's own rights
    /// do not include it) delays nothing, and is asked again.
    const OPTIONAL: bool = false;

    /// Which objects; empty for all.
    const FIELDS: &'static str = "";

    /// What tells objects apart: uid or name.
    fn identity(meta: &Meta) -> Box<str> {
        meta.name.clone()
    }
    fn subject(identity: Box<str>) -> Subject;
    fn changed(self) -> Change;
    fn gone(identity: Box<str>) -> Change;
    /// None for kinds that can be left out when one is unreadable.
    fn unreadable(meta: &Meta, reason: String) -> Option<Change>;
}

impl Source for Pod {
    const FIELDS: &'static str = "status.phase!=Succeeded,status.phase!=Failed";

    fn identity(meta: &Meta) -> Box<str> {
        meta.uid.clone()
    }

    fn subject(identity: Box<str>) -> Subject {
        Subject::Pod(identity)
    }

    fn changed(self) -> Change {
        Change::Pod(Box::new(self))
    }

    fn gone(identity: Box<str>) -> Change {
        Change::PodGone(identity)
    }

    fn unreadable(meta: &Meta, reason: String) -> Option<Change> {
        Some(Change::PodUnreadable(Box::new(meta.clone()), reason))
    }
}

impl Source for Node {
    fn subject(identity: Box<str>) -> Subject {
        Subject::Node(identity)
    }

    fn changed(self) -> Change {
        Change::Node(Box::new(self))
    }

    fn gone(identity: Box<str>) -> Change {
        Change::NodeGone(identity)
    }

    fn unreadable(meta: &Meta, reason: String) -> Option<Change> {
        Some(Change::NodeUnreadable(meta.name.clone(), reason))
    }
}

impl Source for Namespace {
    fn subject(identity: Box<str>) -> Subject {
        Subject::Namespace(identity)
    }

    fn changed(self) -> Change {
        Change::Namespace(Box::new(self))
    }

    fn gone(identity: Box<str>) -> Change {
        Change::NamespaceGone(identity)
    }

    fn unreadable(_: &Meta, _: String) -> Option<Change> {
        None
    }
}

impl Source for PriorityClass {
    const OPTIONAL: bool = true;

    fn subject(identity: Box<str>) -> Subject {
        Subject::PriorityClass(identity)
    }

    fn changed(self) -> Change {
        Change::PriorityClass(Box::new(self))
    }

    fn gone(identity: Box<str>) -> Change {
        Change::PriorityClassGone(identity)
    }

    fn unreadable(_: &Meta, _: String) -> Option<Change> {
        None
    }
}
