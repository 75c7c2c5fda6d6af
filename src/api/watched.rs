//! One undecodable object must not stop a list: each is decoded on its own.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::Meta;
use super::meta::Names;

/// A kind that Berth watches: how the API server calls it.
pub trait Kind: Clone + std::fmt::Debug + DeserializeOwned + Send + 'static {
    /// API group; empty for the core group.
    const GROUP: &'static str;
    /// API version.
    const VERSION: &'static str;
    /// Kind, as in `kind: Pod`.
    const KIND: &'static str;
    /// Plural, as in URLs.
    const PLURAL: &'static str;

    /// The object's metadata.
    fn meta(&self) -> &Meta;
}

/// An object as it came from a list or watch: decoded, or the reason why it could not be.
#[derive(Clone, Debug)]
pub struct Watched<K> {
    metadata: ObjectMeta,
    /// Names and version; readable even when the rest was not.
    pub meta: Meta,
    /// The object, or what is wrong with it.
    pub object: Result<K, String>,
}

impl<'de, K: Kind> Deserialize<'de> for Watched<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self::from_json(raw.get()))
    }
}

impl<K: Kind> Watched<K> {
    /// Decodes one object. Never fails: what is wrong with it becomes part of the value.
    pub fn from_json(json: &str) -> Self {
        match serde_json::from_str::<K>(json) {
            Ok(object) => Self {
                metadata: object.meta().to_object_meta(),
                meta: Meta {
                    resource_version: object.meta().resource_version.clone(),
                    ..Meta::default()
                },
                object: Ok(object),
            },
            Err(error) => {
                #[derive(Deserialize, Default)]
                #[serde(default)]
                struct Identity {
                    metadata: Names,
                    spec: Place,
                }
                #[derive(Deserialize, Default)]
                #[serde(default, rename_all = "camelCase")]
                struct Place {
                    node_name: Box<str>,
                }
                let Identity {
                    metadata: names,
                    spec,
                } = serde_json::from_str(json).unwrap_or_default();
                let meta = Meta {
                    node_name: spec.node_name,
                    ..names.into()
                };
                Self {
                    metadata: meta.to_object_meta(),
                    meta,
                    object: Err(error.to_string()),
                }
            }
        }
    }

    /// The metadata of the object, decodable or not.
    pub fn identity(&self) -> &Meta {
        match &self.object {
            Ok(object) => object.meta(),
            Err(_) => &self.meta,
        }
    }
}

impl<K: Kind> kube::Resource for Watched<K> {
    type DynamicType = ();
    type Scope = kube::core::DynamicResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        K::KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        K::GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        K::VERSION.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests;
