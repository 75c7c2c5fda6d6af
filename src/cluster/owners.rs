//! Services and controllers: whom default spreading takes to be pods of one kind.

use std::collections::{BTreeMap, HashMap};

use super::{Cluster, PeerId};
use crate::model::{ControllerKind, LabelSelector, Labels, PodPeers, Requirement};

/// What one namespace holds.
#[derive(Clone, Debug, Default)]
struct Namespace {
    services: BTreeMap<Box<str>, Labels>,
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
    fn change(&mut self, namespace: &str) -> &mut Namespace {
        self.version += 1;
        let held = self.namespaces.entry(namespace.into()).or_default();
        held.version = self.version;
        held
    }

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

impl Cluster {
    /// Takes in what a service selects; None when it is gone or selects nothing.
    pub fn set_service(&mut self, namespace: &str, name: &str, selector: Option<Labels>) {
        let services = &mut self.owners.change(namespace).services;
        match selector {
            Some(selector) => services.insert(name.into(), selector),
            None => services.remove(name),
        };
    }

    /// Takes in what a controller selects; None when it is gone.
    pub fn set_controller(
        &mut self,
        kind: ControllerKind,
        namespace: &str,
        name: &str,
        selector: Option<LabelSelector>,
    ) {
        let controllers = &mut self.owners.change(namespace).controllers;
        match selector {
            Some(selector) => controllers.insert((kind, name.into()), selector),
            None => controllers.remove(&(kind, name.into())),
        };
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
