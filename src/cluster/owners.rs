//! Services and controllers: whom default spreading takes to be pods of one kind.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use super::{Cluster, PeerId};
use crate::model::{ControllerKind, LabelSelector, Labels, PodPeers, Requirement};

/// What one namespace holds.
#[derive(Clone, Debug, Default)]
struct Namespace {
    services: HashMap<Box<str>, Labels>,
    controllers: HashMap<(ControllerKind, Box<str>), LabelSelector>,
    /// Grows with every change.
    version: u64,
}

/// Services and controllers, by namespace.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    namespaces: HashMap<Box<str>, Namespace>,
    version: u64,
}

impl Owners {
    /// Changes what a namespace holds; `act` answers whether it did. Most updates are of a status and
    /// leave the selector as it was.
    fn change(&mut self, namespace: &str, act: impl FnOnce(&mut Namespace) -> bool) {
        let held = self.namespaces.entry(namespace.into()).or_default();
        if act(held) {
            self.version += 1;
            held.version = self.version;
        }
        if held.services.is_empty() && held.controllers.is_empty() {
            self.namespaces.remove(namespace);
        }
    }

    /// Another one after each change; 0 when the namespace holds nothing.
    fn version(&self, namespace: &str) -> u64 {
        self.namespaces
            .get(namespace)
            .map_or(0, |held| held.version)
    }

    /// The pods of the same kind as this one: what the services that select it and its controller
    /// select. None when nobody does. Source: `plugins/helper.DefaultSelector`.
    fn default_selector(&self, pod: &PodPeers) -> Option<LabelSelector> {
        let held = self.namespaces.get(&pod.namespace)?;
        let mut labels: BTreeMap<&str, &str> = BTreeMap::new();
        for selector in held.services.values() {
            let wanted = |(key, value): &(Box<str>, Box<str>)| {
                crate::model::label(&pod.labels, key) == Some(&**value)
            };
            if selector.iter().all(wanted) {
                labels.extend(selector.iter().map(|(key, value)| (&**key, &**value)));
            }
        }
        let controller = pod.controller.as_ref().and_then(|controller| {
            let key = (controller.kind, controller.name.clone());
            Some((controller.kind, held.controllers.get(&key)?.requirements()))
        });
        let mut requirements = Vec::new();
        match controller {
            // Its labels take the place of those of services, while the selectors of the other
            // kinds come on top of them.
            Some((ControllerKind::ReplicationController, of_it)) => {
                let values = of_it.iter().flat_map(|one| one.values.first());
                let pairs = of_it.iter().zip(values);
                labels.extend(pairs.map(|(one, value)| (&*one.key, &**value)));
            }
            Some((_, of_it)) => requirements.extend_from_slice(of_it),
            None => {}
        }
        let equal = |(key, value): (&str, &str)| Requirement::equals(key, value);
        requirements.extend(labels.into_iter().map(equal));
        (!requirements.is_empty()).then(|| LabelSelector::of(requirements))
    }
}

/// Puts a value in place, or takes it out; answers whether that changes anything.
fn put<K: Eq + Hash, V: PartialEq>(map: &mut HashMap<K, V>, key: K, value: Option<V>) -> bool {
    if map.get(&key) == value.as_ref() {
        return false;
    }
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
    true
}

impl Cluster {
    /// Takes in what a service selects; None when it is gone or selects nothing.
    pub fn set_service(&mut self, namespace: &str, name: &str, selector: Option<Labels>) {
        self.owners.change(namespace, |held| {
            put(&mut held.services, name.into(), selector)
        });
    }

    /// Takes in what a controller selects; None when it is gone.
    pub fn set_controller(
        &mut self,
        kind: ControllerKind,
        namespace: &str,
        name: &str,
        selector: Option<LabelSelector>,
    ) {
        self.owners.change(namespace, |held| {
            put(&mut held.controllers, (kind, name.into()), selector)
        });
    }

    /// Brings up to date whom default spreading counts for pods of this class. To be called before
    /// one of them is decided: who owns it may have changed since.
    pub fn prepare(&mut self, peers: PeerId) {
        if !self.peers.spreads_by_default() {
            return;
        }
        let class = self.peers.class(peers);
        let version = self.owners.version(&class.spec().namespace);
        if class.owners_version() == version || class.spec().has_spread {
            return;
        }
        let selector = self.owners.default_selector(class.spec());
        self.peers
            .set_default_selector(peers, selector, version, &self.slots);
    }
}

#[cfg(test)]
mod tests;
