//! A scheduler with a plugin of one's own: pods go only to nodes whose name begins as asked.
//!
//!     cargo run --example custom_plugin -- rack-7-

use std::sync::Arc;

use berth::cluster::{Cluster, NodeSet};
use berth::framework::{Code, Diagnosis, Filter, Plugin, Profile, Reason};
use berth::model::PodShape;
use berth::plugins;
use berth::runtime::{self, Options};

struct NamePrefix(String);

impl Plugin for NamePrefix {
    fn name(&self) -> &'static str {
        "NamePrefix"
    }

    fn filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }
}

impl Filter for NamePrefix {
    fn filter(&self, _: &PodShape, cluster: &Cluster, left: &mut NodeSet, why: &mut Diagnosis) {
        let others = left
            .iter()
            .filter(|&node| !cluster.node_name(node).starts_with(&self.0));
        let others: NodeSet = others.collect();
        let reason = Reason::Text("node(s) had another prefix");
        why.reject(left, &others, reason, Code::Unresolvable);
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let prefix = std::env::args().nth(1).unwrap_or_default();
    let mut all = plugins::defaults();
    all.push((Arc::new(NamePrefix(prefix)), 0));
    let profile = Profile::new("custom", all);
    let options = Options::new(kube::Config::infer().await?, vec![profile]);
    Ok(runtime::run(options).await?)
}
