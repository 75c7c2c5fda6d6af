//! The kinds that are watched, as sources of changes.

use crate::api::{
    Kind, Meta, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, PodDisruptionBudget,
    PriorityClass, ReplicaSet, ReplicationController, Service, StatefulSet, StorageClass,
};
use crate::engine::{Change, VolumeChange};
use crate::model::ControllerKind;
use crate::runtime::mailbox::Subject;

/// What is lacking without controllers.
const CONTROLLERS: Option<&str> = Some("pods are not spread by controllers of this kind");

/// A kind as a source of changes.
pub(in crate::runtime) trait Source: Kind {
    /// What is lacking when the server forbids it, if decisions can do without it: then nothing is
    /// delayed, and the server is asked again.
    const WITHOUT: Option<&'static str> = None;

    /// What logs call it.
    const NAME: &'static str = Self::KIND;

    /// Whether the server may have no such kind, now or later.
    const COMES_AND_GOES: bool = false;

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
    /// kube-scheduler's own rights do not include it.
    const WITHOUT: Option<&'static str> = Some("priority classes are not known");

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

impl Source for Service {
    const WITHOUT: Option<&'static str> = Some("pods are not spread by their services");

    fn identity(meta: &Meta) -> Box<str> {
        path(meta)
    }

    fn subject(identity: Box<str>) -> Subject {
        Subject::Service(identity)
    }

    fn changed(self) -> Change {
        Change::Service(Box::new(self))
    }

    fn gone(identity: Box<str>) -> Change {
        let (namespace, name) = apart(&identity);
        Change::ServiceGone(namespace, name)
    }

    fn unreadable(_: &Meta, _: String) -> Option<Change> {
        None
    }
}

impl Source for ReplicationController {
    const WITHOUT: Option<&'static str> = CONTROLLERS;

    fn identity(meta: &Meta) -> Box<str> {
        path(meta)
    }

    fn subject(identity: Box<str>) -> Subject {
        Subject::Controller(ControllerKind::ReplicationController, identity)
    }

    fn changed(self) -> Change {
        Change::ReplicationController(Box::new(self))
    }

    fn gone(identity: Box<str>) -> Change {
        let (namespace, name) = apart(&identity);
        Change::ControllerGone(ControllerKind::ReplicationController, namespace, name)
    }

    fn unreadable(_: &Meta, _: String) -> Option<Change> {
        None
    }
}

impl Source for ReplicaSet {
    const WITHOUT: Option<&'static str> = CONTROLLERS;

    fn identity(meta: &Meta) -> Box<str> {
        path(meta)
    }

    fn subject(identity: Box<str>) -> Subject {
        Subject::Controller(ControllerKind::ReplicaSet, identity)
    }

    fn changed(self) -> Change {
        Change::ReplicaSet(Box::new(self))
    }

    fn gone(identity: Box<str>) -> Change {
        let (namespace, name) = apart(&identity);
        Change::ControllerGone(ControllerKind::ReplicaSet, namespace, name)
    }

    fn unreadable(_: &Meta, _: String) -> Option<Change> {
        None
    }
}

impl Source for StatefulSet {
    const WITHOUT: Option<&'static str> = CONTROLLERS;

    fn identity(meta: &Meta) -> Box<str> {
        path(meta)
    }

    fn subject(identity: Box<str>) -> Subject {
        Subject::Controller(ControllerKind::StatefulSet, identity)
    }

    fn changed(self) -> Change {
        Change::StatefulSet(Box::new(self))
    }

    fn gone(identity: Box<str>) -> Change {
        let (namespace, name) = apart(&identity);
        Change::ControllerGone(ControllerKind::StatefulSet, namespace, name)
    }

    fn unreadable(_: &Meta, _: String) -> Option<Change> {
        None
    }
}

impl Source for PodDisruptionBudget {
    const WITHOUT: Option<&'static str> = Some("no budget protects pods from preemption");

    fn identity(meta: &Meta) -> Box<str> {
        path(meta)
    }

    fn subject(identity: Box<str>) -> Subject {
        Subject::DisruptionBudget(identity)
    }

    fn changed(self) -> Change {
        Change::DisruptionBudget(Box::new(self))
    }

    fn gone(identity: Box<str>) -> Change {
        let (namespace, name) = apart(&identity);
        Change::DisruptionBudgetGone(namespace, name)
    }

    /// One that was read before protects as it last did.
    fn unreadable(_: &Meta, _: String) -> Option<Change> {
        None
    }
}

impl Source for PersistentVolumeClaim {
    const WITHOUT: Option<&'static str> = Some("pods with claims are not placed");

    fn identity(meta: &Meta) -> Box<str> {
        path(meta)
    }

    fn subject(identity: Box<str>) -> Subject {
        Subject::Claim(identity)
    }

    fn changed(self) -> Change {
        Change::Volumes(VolumeChange::Claim(Box::new(self)))
    }

    fn gone(identity: Box<str>) -> Change {
        let (namespace, name) = apart(&identity);
        Change::Volumes(VolumeChange::ClaimGone(namespace, name))
    }

    fn unreadable(meta: &Meta, _: String) -> Option<Change> {
        Some(Self::gone(path(meta)))
    }
}

impl Source for PersistentVolume {
    const WITHOUT: Option<&'static str> = Some("pods with claims are not placed");

    fn subject(identity: Box<str>) -> Subject {
        Subject::Volume(identity)
    }

    fn changed(self) -> Change {
        Change::Volumes(VolumeChange::Volume(Box::new(self)))
    }

    fn gone(identity: Box<str>) -> Change {
        Change::Volumes(VolumeChange::VolumeGone(identity))
    }

    fn unreadable(meta: &Meta, _: String) -> Option<Change> {
        Some(Self::gone(meta.name.clone()))
    }
}

impl Source for StorageClass {
    const WITHOUT: Option<&'static str> =
        Some("claims that wait for a pod are taken to wait for a volume");

    fn subject(identity: Box<str>) -> Subject {
        Subject::StorageClass(identity)
    }

    fn changed(self) -> Change {
        Change::Volumes(VolumeChange::StorageClass(Box::new(self)))
    }

    fn gone(identity: Box<str>) -> Change {
        Change::Volumes(VolumeChange::StorageClassGone(identity))
    }

    fn unreadable(meta: &Meta, _: String) -> Option<Change> {
        Some(Self::gone(meta.name.clone()))
    }
}

/// The identity of what has a name in a namespace; neither has a slash in it.
pub(super) fn path(meta: &Meta) -> Box<str> {
    format!("{}/{}", meta.namespace, meta.name).into()
}

/// The namespace and the name again.
pub(super) fn apart(identity: &str) -> (Box<str>, Box<str>) {
    let (namespace, name) = identity.split_once('/').unwrap_or(("", identity));
    (namespace.into(), name.into())
}
