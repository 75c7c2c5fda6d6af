//! The extension points, and what is known of every plugin of kube-scheduler: where it runs and
//! with what weight. Sources: `framework/plugins/registry.go`, `apis/config/v1/default_plugins.go`.

/// An extension point, in the order of the file's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// Before a pod enters the queue.
    PreEnqueue,
    /// The order of the queue.
    QueueSort,
    /// Once per pod, before nodes are filtered.
    PreFilter,
    /// Taking out nodes.
    Filter,
    /// When no node was found.
    PostFilter,
    /// Once per pod, before nodes are scored.
    PreScore,
    /// Rating nodes.
    Score,
    /// Booking the node.
    Reserve,
    /// The last word.
    Permit,
    /// Before binding.
    PreBind,
    /// Binding.
    Bind,
    /// After binding.
    PostBind,
    /// Placements of a group of pods.
    PlacementGenerate,
    /// Rating those.
    PlacementScore,
    /// When no placement was found for a group.
    PodGroupPostFilter,
}

impl Point {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::PreEnqueue,
        Self::QueueSort,
        Self::PreFilter,
        Self::Filter,
        Self::PostFilter,
        Self::PreScore,
        Self::Score,
        Self::Reserve,
        Self::Permit,
        Self::PreBind,
        Self::Bind,
        Self::PostBind,
        Self::PlacementGenerate,
        Self::PlacementScore,
        Self::PodGroupPostFilter,
    ];

    /// The field of the file.
    pub const fn field(self) -> &'static str {
        match self {
            Self::PreEnqueue => "preEnqueue",
            Self::QueueSort => "queueSort",
            Self::PreFilter => "preFilter",
            Self::Filter => "filter",
            Self::PostFilter => "postFilter",
            Self::PreScore => "preScore",
            Self::Score => "score",
            Self::Reserve => "reserve",
            Self::Permit => "permit",
            Self::PreBind => "preBind",
            Self::Bind => "bind",
            Self::PostBind => "postBind",
            Self::PlacementGenerate => "placementGenerate",
            Self::PlacementScore => "placementScore",
            Self::PodGroupPostFilter => "podGroupPostFilter",
        }
    }

    /// The name that kube-scheduler gives it in messages.
    pub fn interface(self) -> String {
        let mut name = self.field().to_owned();
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        name + "Plugin"
    }

    /// Whether weights mean something here.
    pub const fn is_weighted(self) -> bool {
        matches!(self, Self::Score | Self::PlacementScore)
    }
}

/// A plugin of kube-scheduler.
#[derive(Clone, Copy, Debug)]
pub struct KnownPlugin {
    /// Its name.
    pub name: &'static str,
    /// The extension points that it implements.
    pub points: &'static [Point],
    /// Its weight in the default list, 0 for none; None when it is not in that list.
    pub default_weight: Option<i32>,
}

const FILTERS: &[Point] = &[Point::PreFilter, Point::Filter];
const FILTERS_AND_SCORES: &[Point] = &[
    Point::PreFilter,
    Point::Filter,
    Point::PreScore,
    Point::Score,
];

const fn plugin(
    name: &'static str,
    points: &'static [Point],
    default_weight: Option<i32>,
) -> KnownPlugin {
    KnownPlugin {
        name,
        points,
        default_weight,
    }
}

/// All plugins, those of the default list first and in its order.
pub const KNOWN_PLUGINS: &[KnownPlugin] = &[
    plugin("SchedulingGates", &[Point::PreEnqueue], Some(0)),
    plugin("PrioritySort", &[Point::QueueSort], Some(0)),
    plugin("NodeName", FILTERS, Some(0)),
    plugin("NodeUnschedulable", FILTERS, Some(0)),
    plugin("TaintToleration", FILTERS_AND_SCORES, Some(3)),
    plugin("NodeAffinity", FILTERS_AND_SCORES, Some(2)),
    plugin("NodePorts", FILTERS, Some(0)),
    plugin(
        "NodeResourcesFit",
        &[
            Point::PreFilter,
            Point::Filter,
            Point::PreScore,
            Point::Score,
            Point::PlacementScore,
        ],
        Some(1),
    ),
    plugin("VolumeRestrictions", FILTERS, Some(0)),
    plugin("NodeVolumeLimits", FILTERS, Some(0)),
    plugin(
        "VolumeBinding",
        &[
            Point::PreFilter,
            Point::Filter,
            Point::PreScore,
            Point::Score,
            Point::Reserve,
            Point::PreBind,
        ],
        Some(0),
    ),
    plugin("VolumeZone", FILTERS, Some(0)),
    plugin("PodTopologySpread", FILTERS_AND_SCORES, Some(2)),
    plugin("InterPodAffinity", FILTERS_AND_SCORES, Some(2)),
    plugin(
        "DynamicResources",
        &[
            Point::PreEnqueue,
            Point::PreFilter,
            Point::Filter,
            Point::PostFilter,
            Point::Score,
            Point::Reserve,
            Point::PreBind,
            Point::PodGroupPostFilter,
        ],
        Some(2),
    ),
    plugin(
        "DefaultPreemption",
        &[
            Point::PreEnqueue,
            Point::PostFilter,
            Point::PodGroupPostFilter,
        ],
        Some(0),
    ),
    plugin(
        "NodeResourcesBalancedAllocation",
        &[Point::PreScore, Point::Score],
        Some(1),
    ),
    plugin("ImageLocality", &[Point::Score], Some(1)),
    plugin("DefaultBinder", &[Point::Bind], Some(0)),
    plugin("NodeDeclaredFeatures", FILTERS, Some(0)),
    plugin(
        "DeferredPodScheduling",
        &[Point::PreFilter, Point::Filter, Point::Permit],
        None,
    ),
    plugin("GangScheduling", &[Point::PreEnqueue, Point::Permit], None),
    plugin(
        "TopologyPlacementGenerator",
        &[Point::PlacementGenerate],
        None,
    ),
    plugin("PodGroupPodsCount", &[Point::PlacementScore], None),
    // Berth's own, and off unless a profile enables it.
    plugin("ExtendedResourceAvoidance", &[Point::Score], None),
];

/// The plugin of that name.
pub fn known(name: &str) -> Option<&'static KnownPlugin> {
    KNOWN_PLUGINS.iter().find(|plugin| plugin.name == name)
}
