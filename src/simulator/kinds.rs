//! Which kinds of objects there are. A further kind is a line here.

/// A kind of objects, as one group and version shows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// The API group; empty for the core.
    pub group: &'static str,
    /// The version within the group.
    pub version: &'static str,
    /// The name in paths.
    pub plural: &'static str,
    /// The kind of one object.
    pub kind: &'static str,
    /// What kubectl takes for the plural.
    pub short: &'static [&'static str],
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Whether `/status` is there, and the status can be written only by it.
    pub status: bool,
    /// Whether `metadata.generation` counts changes of what is not metadata or status.
    pub generation: bool,
    /// Whether an update has to name the version that it is based on.
    pub versioned_updates: bool,
    /// Whether it is described by a CustomResourceDefinition, which knows no strategic merge.
    pub custom: bool,
    /// Whether it is there only once [`ApiServer::serve`](super::ApiServer::serve) says so.
    pub optional: bool,
    /// Field selectors besides those of name and namespace.
    pub fields: &'static [&'static str],
}

const PLAIN: Kind = Kind {
    group: "",
    version: "v1",
    plural: "",
    kind: "",
    short: &[],
    namespaced: true,
    status: false,
    generation: false,
    versioned_updates: false,
    custom: false,
    optional: false,
    fields: &[],
};

const POD_GROUP: Kind = Kind {
    plural: "podgroups",
    kind: "PodGroup",
    status: true,
    generation: true,
    versioned_updates: true,
    optional: true,
    ..PLAIN
};

/// All kinds. The core's events come after those of their own group, in whose form they are kept.
pub static KINDS: &[Kind] = &[
    Kind {
        plural: "pods",
        kind: "Pod",
        short: &["po"],
        status: true,
        generation: true,
        fields: &[
            "spec.hostNetwork",
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.nominatedNodeName",
            "status.phase",
            "status.podIP",
        ],
        ..PLAIN
    },
    Kind {
        plural: "nodes",
        kind: "Node",
        short: &["no"],
        namespaced: false,
        status: true,
        fields: &["spec.unschedulable"],
        ..PLAIN
    },
    Kind {
        plural: "namespaces",
        kind: "Namespace",
        short: &["ns"],
        namespaced: false,
        status: true,
        fields: &["status.phase"],
        ..PLAIN
    },
    Kind {
        group: "scheduling.k8s.io",
        plural: "priorityclasses",
        kind: "PriorityClass",
        short: &["pc"],
        namespaced: false,
        generation: true,
        ..PLAIN
    },
    Kind {
        group: "events.k8s.io",
        plural: "events",
        kind: "Event",
        short: &["ev"],
        fields: &[
            "reason",
            "regarding.kind",
            "regarding.name",
            "regarding.namespace",
            "regarding.uid",
            "reportingController",
            "type",
        ],
        ..PLAIN
    },
    Kind {
        plural: "events",
        kind: "Event",
        short: &["ev"],
        fields: &[
            "involvedObject.kind",
            "involvedObject.name",
            "involvedObject.namespace",
            "involvedObject.uid",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        ..PLAIN
    },
    Kind {
        group: "coordination.k8s.io",
        plural: "leases",
        kind: "Lease",
        versioned_updates: true,
        ..PLAIN
    },
    Kind {
        plural: "services",
        kind: "Service",
        short: &["svc"],
        status: true,
        ..PLAIN
    },
    Kind {
        plural: "replicationcontrollers",
        kind: "ReplicationController",
        short: &["rc"],
        status: true,
        generation: true,
        ..PLAIN
    },
    Kind {
        group: "apps",
        plural: "replicasets",
        kind: "ReplicaSet",
        short: &["rs"],
        status: true,
        generation: true,
        ..PLAIN
    },
    Kind {
        group: "apps",
        plural: "statefulsets",
        kind: "StatefulSet",
        short: &["sts"],
        status: true,
        generation: true,
        ..PLAIN
    },
    Kind {
        plural: "persistentvolumeclaims",
        kind: "PersistentVolumeClaim",
        short: &["pvc"],
        status: true,
        ..PLAIN
    },
    Kind {
        plural: "persistentvolumes",
        kind: "PersistentVolume",
        short: &["pv"],
        namespaced: false,
        status: true,
        ..PLAIN
    },
    Kind {
        group: "storage.k8s.io",
        plural: "storageclasses",
        kind: "StorageClass",
        short: &["sc"],
        namespaced: false,
        ..PLAIN
    },
    Kind {
        group: "policy",
        plural: "poddisruptionbudgets",
        kind: "PodDisruptionBudget",
        short: &["pdb"],
        status: true,
        generation: true,
        ..PLAIN
    },
    Kind {
        group: "scheduling.k8s.io",
        version: "v1beta1",
        ..POD_GROUP
    },
    Kind {
        group: "scheduling.x-k8s.io",
        version: "v1alpha1",
        short: &["pg", "pgs"],
        custom: true,
        ..POD_GROUP
    },
    Kind {
        group: "scheduling.volcano.sh",
        version: "v1beta1",
        short: &["pg", "podgroup-v1beta1"],
        status: false,
        custom: true,
        ..POD_GROUP
    },
];

/// The kind with this place in paths.
#[must_use]
pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    KINDS
        .iter()
        .find(|kind| (kind.group, kind.version, kind.plural) == (group, version, plural))
}

// === impl Kind ===

impl Kind {
    /// What objects of it name as their `apiVersion`.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// How error texts name it.
    #[must_use]
    pub fn resource(&self) -> String {
        if self.group.is_empty() || self.is_event() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// The name of one in paths of discovery.
    #[must_use]
    pub fn singular(&self) -> String {
        self.kind.to_lowercase()
    }

    /// Where its objects are kept; kinds that show the same objects share the place.
    pub(super) fn table(&self) -> usize {
        let keeps = |other: &Kind| {
            other.plural == self.plural && (other.group == self.group || self.is_event())
        };
        KINDS.iter().position(keeps).unwrap_or_default()
    }

    pub(super) fn is_pod(&self) -> bool {
        self.plural == "pods"
    }

    pub(super) fn is_namespace(&self) -> bool {
        self.plural == "namespaces"
    }

    fn is_event(&self) -> bool {
        self.plural == "events"
    }

    /// Whether objects are shown in another form than the one in which they are kept.
    pub(super) fn is_view(&self) -> bool {
        self.is_event() && self.group.is_empty()
    }
}
