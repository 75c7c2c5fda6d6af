//! The annotations that are read, and no others: some tools keep whole objects in one.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The keys of these annotations.
pub mod annotation {
    /// Volcano: the pod's group.
    pub const VOLCANO_GROUP: &str = "scheduling.k8s.io/group-name";
    /// Volcano: the pod's group, as some controllers write it; older ones as a label.
    pub const VOLCANO_GROUP_ALIAS: &str = "scheduling.volcano.sh/group-name";
    /// Volcano: the pod's role in its group.
    pub const VOLCANO_ROLE: &str = "volcano.sh/task-spec";
    /// Koordinator: the pod's gang, which needs no object.
    pub const KOORDINATOR_GANG: &str = "gang.scheduling.koordinator.sh/name";
    /// Koordinator: how many of the gang must run together.
    pub const KOORDINATOR_MIN: &str = "gang.scheduling.koordinator.sh/min-available";
    /// The node label in one value of which the whole gang must be.
    pub const REQUIRED_TOPOLOGY: &str = "gang.berth.dev/required-topology";
    /// Node labels in one value of which the whole gang should be, the narrowest first, with commas.
    pub const PREFERRED_TOPOLOGY: &str = "gang.berth.dev/preferred-topology";
    /// A claim: it was bound, and by whom is no matter.
    pub const CLAIM_BOUND: &str = "pv.kubernetes.io/bind-completed";
    /// A claim: its storage class, as it was written before there was a field for it.
    pub const CLAIM_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

    /// All of them.
    pub(super) const READ: &[&str] = &[
        VOLCANO_GROUP,
        VOLCANO_GROUP_ALIAS,
        VOLCANO_ROLE,
        KOORDINATOR_GANG,
        KOORDINATOR_MIN,
        REQUIRED_TOPOLOGY,
        PREFERRED_TOPOLOGY,
        CLAIM_BOUND,
        CLAIM_CLASS,
    ];
}

/// The annotations of an object that are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations(Vec<(&'static str, Box<str>)>);

impl Annotations {
    /// The value of one of the annotations in [`annotation`].
    pub fn get(&self, key: &str) -> Option<&str> {
        let found = self.0.iter().find(|(held, _)| *held == key);
        found.map(|(_, value)| &**value)
    }
}

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_option(Wanted)
    }
}

struct Wanted;

impl<'de> Visitor<'de> for Wanted {
    type Value = Annotations;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of text values")
    }

    fn visit_none<E>(self) -> Result<Annotations, E> {
        Ok(Annotations::default())
    }

    fn visit_unit<E>(self) -> Result<Annotations, E> {
        Ok(Annotations::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Annotations, D::Error> {
        inner.deserialize_map(self)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Annotations, M::Error> {
        let mut held = Vec::new();
        while let Some(Key(key)) = map.next_key()? {
            match key {
                Some(key) => held.push((key, map.next_value()?)),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Annotations(held))
    }
}

/// The key of an annotation, if it is one that is read; nothing is kept of any other.
struct Key(Option<&'static str>);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("the key of an annotation")
            }

            fn visit_str<E>(self, text: &str) -> Result<Key, E> {
                let mut read = annotation::READ.iter();
                Ok(Key(read.find(|wanted| **wanted == text).copied()))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

#[cfg(test)]
mod tests;
