//! Random numbers for tests that ask many different questions.

use serde_json::json;

use crate::objects::{
    NodeBuilder, PodBuilder, node, pod, preferred_node_affinity, required_node_affinity,
};

/// The zones of random nodes, and of what random pods ask for.
pub const ZONES: [&str; 3] = ["a", "b", "c"];
const IMAGES: [&str; 3] = ["small:1", "large:2", "huge"];

/// A small generator (xorshift64*), so that a seed tells everything.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers for ever.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below this bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    /// Whether something comes true that does so once in so many times.
    pub fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    /// An index below this length, which must not be 0.
    pub fn index(&mut self, len: usize) -> usize {
        // A remainder of a length is an index.
        self.below(len as u64) as usize
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let place = self.below(from.len() as u64);
        from[usize::try_from(place).unwrap_or_default()]
    }
}

/// A node of any size, with labels, taints and images or without.
pub fn random_node(random: &mut Random, number: u64) -> NodeBuilder {
    let mut node = node(&format!("n{number}"))
        .capacity("cpu", &format!("{}m", 1000 + 250 * random.below(30)))
        .capacity("memory", &format!("{}Mi", 2048 + 300 * random.below(60)))
        .capacity("pods", &format!("{}", random.pick(&[2, 5, 110, 110])))
        .label("zone", random.pick(&ZONES))
        .label("generation", &random.below(9).to_string());
    if random.one_in(3) {
        node = node.capacity("nvidia.com/gpu", random.pick(&["2", "4", "8"]));
    }
    if random.one_in(2) {
        node = node.label("disk", random.pick(&["ssd", "hdd"]));
    }
    if random.one_in(6) {
        node = node.unschedulable();
    }
    for key in ["gpu", "team", "soft"] {
        if random.one_in(5) {
            let effect = if key == "soft" {
                "PreferNoSchedule"
            } else {
                random.pick(&["NoSchedule", "NoExecute"])
            };
            node = node.taint(key, random.pick(&["x", "y"]), effect);
        }
    }
    for (image, megabytes) in IMAGES.into_iter().zip([30, 400, 2000]) {
        if random.one_in(3) {
            node = node.image(image, megabytes << 20);
        }
    }
    node
}

/// A pod that asks for any of what plugins look at.
pub fn random_pod(random: &mut Random) -> PodBuilder {
    let mut pod = pod("p").label("app", "twin");
    if !random.one_in(5) {
        pod = pod.request("cpu", &format!("{}m", 50 + 137 * random.below(20)));
    }
    if !random.one_in(4) {
        pod = pod.request("memory", &format!("{}Mi", 10 + 211 * random.below(20)));
    }
    if random.one_in(6) {
        pod = pod.request("nvidia.com/gpu", random.pick(&["1", "2", "8"]));
    }
    if random.one_in(9) {
        pod = pod.request("ephemeral-storage", random.pick(&["10Gi", "200Gi"]));
    }
    if random.one_in(8) {
        pod = pod.init(random.one_in(2), "cpu", random.pick(&["300m", "4"]));
    }
    if random.one_in(5) {
        pod = pod.selector("disk", random.pick(&["ssd", "hdd", "tape"]));
    }
    if random.one_in(3) {
        let zones = [random.pick(&ZONES)];
        let affinity = match random.below(5) {
            0 => required_node_affinity(&[("zone", "In", &zones)]),
            1 => required_node_affinity(&[("zone", "NotIn", &zones), ("generation", "Gt", &["3"])]),
            2 => required_node_affinity(&[("disk", "Exists", &[]), ("generation", "Lt", &["7"])]),
            3 => required_node_affinity(&[("disk", "DoesNotExist", &[])]),
            _ => preferred_node_affinity(60, "zone", zones[0]),
        };
        pod = pod.affinity(affinity);
    }
    for key in ["gpu", "team", "soft"] {
        if random.one_in(4) {
            pod = pod.toleration(match random.below(3) {
                0 => json!({"key": key, "operator": "Exists"}),
                1 => json!({"key": key, "operator": "Equal", "value": "x"}),
                _ => json!({"key": key, "operator": "Equal", "value": "y", "effect": "NoSchedule"}),
            });
        }
    }
    if random.one_in(12) {
        pod = pod.toleration(json!({"operator": "Exists"}));
    }
    if random.one_in(7) {
        pod = pod.host_port(random.pick(&[8080, 9090]), random.pick(&["TCP", "UDP"]));
    }
    if random.one_in(3) {
        pod = pod.image(random.pick(&IMAGES));
    }
    pod
}
