//! The values of labels, as enums: what is not listed here cannot be counted by mistake.

use std::fmt;
use std::marker::PhantomData;
use std::sync::OnceLock;

/// A label with a fixed set of values.
pub(super) trait Label: Copy {
    /// How many values there are.
    const COUNT: usize;

    /// Which of them this is, below [`Self::COUNT`].
    fn index(self) -> usize;
}

/// One metric per value of a label, each created when it is first asked for: a combination that
/// never happened is not exported. A lookup is an index and an atomic load.
pub(super) struct PerLabel<L, M> {
    slots: Box<[OnceLock<M>]>,
    label: PhantomData<fn(L)>,
}

impl<L: Label, M> PerLabel<L, M> {
    pub(super) fn new() -> Self {
        Self {
            slots: (0..L::COUNT).map(|_| OnceLock::new()).collect(),
            label: PhantomData,
        }
    }

    /// The metric of this value, made by `make` the first time.
    pub(super) fn get(&self, label: L, make: impl FnOnce() -> M) -> &M {
        self.slots[label.index()].get_or_init(make)
    }
}

impl<L, M: fmt::Debug> fmt::Debug for PerLabel<L, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.slots.iter().filter_map(OnceLock::get))
            .finish()
    }
}

/// Defines an enum of label values with the texts that are exported.
macro_rules! labels {
    ($(
        $(#[$doc:meta])*
        $name:ident { $($(#[$value_doc:meta])* $value:ident => $text:literal,)+ }
    )+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$value_doc])* $value,)+
        }

        impl $name {
            /// All values, in the order of their definition.
            pub const ALL: &[Self] = &[$(Self::$value,)+];

            /// The text that is exported.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $text,)+
                }
            }
        }

        impl Label for $name {
            const COUNT: usize = Self::ALL.len();

            fn index(self) -> usize {
                self as usize
            }
        }
    )+};
}

labels! {
    /// How an attempt to schedule a pod ended (label `result`).
    AttemptResult {
        /// A node was found.
        Scheduled => "scheduled",
        /// No node took the pod.
        Unschedulable => "unschedulable",
        /// The attempt itself failed.
        Error => "error",
    }

    /// How an attempt to place a gang ended (label `result`).
    GangResult {
        /// Enough of its members were placed.
        Scheduled => "scheduled",
        /// None was.
        Unschedulable => "unschedulable",
        /// The attempt itself failed.
        Error => "error",
    }

    /// Where plugins are asked (label `extension_point`), with kube-scheduler's names.
    ExtensionPoint {
        /// May the pod be tried at all?
        PreEnqueue => "PreEnqueue",
        /// What depends on the pod alone.
        PreFilter => "PreFilter",
        /// Which nodes can take the pod?
        Filter => "Filter",
        /// As if one more pod were on the node.
        PreFilterExtensionAddPod => "PreFilterExtensionAddPod",
        /// As if one pod less were on the node.
        PreFilterExtensionRemovePod => "PreFilterExtensionRemovePod",
        /// No node can: preemption.
        PostFilter => "PostFilter",
        /// What scoring needs to know about the pod.
        PreScore => "PreScore",
        /// Which node is best?
        Score => "Score",
        /// Scores brought to a common scale.
        ScoreExtensionNormalize => "ScoreExtensionNormalize",
        /// Resources are set aside.
        Reserve => "Reserve",
        /// They are given back.
        Unreserve => "Unreserve",
        /// May the placed pod be bound, or has it to wait?
        Permit => "Permit",
        /// Is there anything to prepare?
        PreBindPreFlight => "PreBindPreFlight",
        /// What has to be ready before the pod is bound.
        PreBind => "PreBind",
        /// The bind itself.
        Bind => "Bind",
        /// Told after the bind.
        PostBind => "PostBind",
    }

    /// What plugins answered (label `status`), with kube-scheduler's names.
    Status {
        /// Nothing speaks against it.
        Success => "Success",
        /// The plugin failed.
        Error => "Error",
        /// Not now; preemption may help.
        Unschedulable => "Unschedulable",
        /// Not now; preemption cannot help.
        UnschedulableAndUnresolvable => "UnschedulableAndUnresolvable",
        /// The pod waits for permission.
        Wait => "Wait",
        /// The plugin has nothing to say about this pod.
        Skip => "Skip",
        /// The pod waits for something the plugin has started.
        Pending => "Pending",
    }

    /// For whom pods are evicted (label `preemptor`).
    Preemptor {
        /// A pod.
        Pod => "pod",
        /// A gang.
        PodGroup => "podgroup",
    }

    /// Where pods wait (label `queue`).
    Queue {
        /// To be tried next.
        Active => "active",
        /// Until the backoff after a failed attempt is over.
        Backoff => "backoff",
        /// Until the cluster changes.
        Unschedulable => "unschedulable",
        /// Until their gates are removed.
        Gated => "gated",
        /// For more pods of their group to be created.
        Incomplete => "incomplete",
        /// For their group's turn.
        Pending => "pending",
    }

    /// What a queueing hint answered (label `hint`).
    Hint {
        /// Try the pod again.
        Queue => "Queue",
        /// This event does not help the pod.
        QueueSkip => "QueueSkip",
        /// The hint failed; the pod is tried again.
        Error => "Error",
    }

    /// What kind of requests to the API server (label `lane`), most urgent first.
    Lane {
        /// Bindings.
        Bind => "bind",
        /// Evictions of victims.
        Evict => "evict",
        /// Pod conditions and nominations.
        Status => "status",
        /// Kubernetes events.
        Event => "event",
    }

    /// How a request to the API server ended (label `result`).
    LaneResult {
        /// As asked.
        Success => "success",
        /// 409: the object had changed, or the pod was bound already.
        Conflict => "conflict",
        /// 404: the object is gone.
        NotFound => "not_found",
        /// 429: too many requests.
        Throttled => "throttled",
        /// Any other 4xx.
        Rejected => "rejected",
        /// 5xx.
        ServerError => "server_error",
        /// No reply in time.
        Timeout => "timeout",
        /// The connection failed.
        Transport => "transport",
    }

    /// What reading the pod showed after a bind whose reply did not tell (label `resolved`).
    Resolution {
        /// The pod is on our node.
        Bound => "bound",
        /// It is not.
        NotBound => "not_bound",
        /// The pod could not be read.
        Unread => "unread",
    }

    /// What a watch received (label `type`).
    WatchEvent {
        /// An object of a list, at the start and after a gap.
        Listed => "listed",
        /// An object was created or changed.
        Applied => "applied",
        /// An object was deleted.
        Deleted => "deleted",
    }
}
