//! Which plugins run where: merging with the defaults, and the expansion of multiPoint.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::points::{KNOWN_PLUGINS, Point, known};

/// A plugin that is named at an extension point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PluginRef {
    /// Its name.
    pub name: String,
    /// Its weight, if one was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<i32>,
}

/// What is switched on and off at one extension point.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginSet {
    /// On, in this order.
    pub enabled: Vec<PluginRef>,
    /// Off; `*` means all.
    pub disabled: Vec<String>,
}

impl Serialize for PluginSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = BTreeMap::new();
        let unweighted = |name: &String| PluginRef {
            name: name.clone(),
            weight: None,
        };
        if !self.disabled.is_empty() {
            map.insert("disabled", self.disabled.iter().map(unweighted).collect());
        }
        if !self.enabled.is_empty() {
            map.insert("enabled", self.enabled.clone());
        }
        map.serialize(serializer)
    }
}

impl PluginSet {
    fn is_empty(&self) -> bool {
        self.enabled.is_empty() && self.disabled.is_empty()
    }

    /// Whether the plugin is switched off here, by its name or by `*`.
    pub fn disables(&self, name: &str) -> bool {
        self.disabled.iter().any(|one| one == name || one == "*")
    }

    /// Puts these wishes over the defaults. Source: `mergePluginSet`.
    fn over(&self, default: &Self) -> Self {
        let mut disabled = self.disabled.clone();
        disabled.extend(default.disabled.iter().cloned());
        let off = |name: &str| disabled.iter().any(|one| one == name);
        let mut enabled = Vec::new();
        let mut replaced = vec![false; self.enabled.len()];
        if !off("*") {
            for plugin in default.enabled.iter().filter(|plugin| !off(&plugin.name)) {
                // Of one that is named twice the last replaces the default, as upstream.
                let own = (self.enabled.iter().enumerate().rev())
                    .find(|(_, own)| own.name == plugin.name);
                match own {
                    Some((place, own)) => {
                        if let Some(replaced) = replaced.get_mut(place) {
                            *replaced = true;
                        }
                        enabled.push(own.clone());
                    }
                    None => enabled.push(plugin.clone()),
                }
            }
        }
        let rest = self.enabled.iter().zip(&replaced);
        enabled.extend(
            rest.filter(|(_, replaced)| !**replaced)
                .map(|(own, _)| own.clone()),
        );
        Self { enabled, disabled }
    }
}

/// What is switched on and off, per extension point and for all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plugins {
    /// For every extension point that a plugin implements.
    pub multi_point: PluginSet,
    /// For one; a point without wishes is left out.
    pub points: BTreeMap<Point, PluginSet>,
}

impl Serialize for Plugins {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = BTreeMap::new();
        if !self.multi_point.is_empty() {
            map.insert("multiPoint", &self.multi_point);
        }
        for (point, set) in self.points.iter().filter(|(_, set)| !set.is_empty()) {
            map.insert(point.field(), set);
        }
        map.serialize(serializer)
    }
}

/// The plugins of each extension point, in order, each with its weight.
pub type Expanded = BTreeMap<Point, Vec<(String, i64)>>;

impl Plugins {
    /// kube-scheduler's default list.
    pub fn defaults() -> Self {
        let enabled = KNOWN_PLUGINS.iter().filter_map(|plugin| {
            let weight = plugin.default_weight?;
            Some(PluginRef {
                name: plugin.name.to_owned(),
                weight: (weight != 0).then_some(weight),
            })
        });
        Self {
            multi_point: PluginSet {
                enabled: enabled.collect(),
                disabled: Vec::new(),
            },
            points: BTreeMap::new(),
        }
    }

    /// What is wished at one extension point.
    pub fn at(&self, point: Point) -> PluginSet {
        self.points.get(&point).cloned().unwrap_or_default()
    }

    /// Puts these wishes over the defaults. Source: `mergePlugins`.
    #[must_use]
    pub fn over(&self, default: &Self) -> Self {
        let mut points = BTreeMap::new();
        for point in Point::ALL {
            let merged = self.at(point).over(&default.at(point));
            if !merged.is_empty() {
                points.insert(point, merged);
            }
        }
        Self {
            multi_point: self.multi_point.over(&default.multi_point),
            points,
        }
    }

    /// The plugins that are switched on anywhere, sorted.
    pub fn named(&self) -> Vec<&str> {
        let sets = std::iter::once(&self.multi_point).chain(self.points.values());
        let mut names: Vec<_> = sets
            .flat_map(|set| set.enabled.iter().map(|plugin| plugin.name.as_str()))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The plugins of each extension point after the expansion of multiPoint, by what is known of
    /// kube-scheduler's plugins.
    ///
    /// # Errors
    ///
    /// The field in which a plugin stands twice, and which.
    pub fn expand(&self) -> Result<Expanded, (String, String)> {
        self.expand_by(|name, point| known(name).is_some_and(|known| known.points.contains(&point)))
    }

    /// The same for any plugins, of which `implements` tells what they implement. Source:
    /// `expandMultiPointPlugins`.
    pub(super) fn expand_by(
        &self,
        implements: impl Fn(&str, Point) -> bool,
    ) -> Result<Expanded, (String, String)> {
        let mut expanded = Expanded::new();
        for point in Point::ALL {
            let order = self.order_at(point, &implements)?;
            let weighted = order.into_iter().map(|name| {
                let weight = self.weight(name, point);
                (name.to_owned(), weight)
            });
            let weighted: Vec<_> = weighted.collect();
            if !weighted.is_empty() {
                expanded.insert(point, weighted);
            }
        }
        Ok(expanded)
    }

    fn order_at(
        &self,
        point: Point,
        implements: impl Fn(&str, Point) -> bool,
    ) -> Result<Vec<&str>, (String, String)> {
        let twice = |field: &str, name: &str| {
            let text = format!(
                "plugin {name:?} already registered as {:?}",
                point.interface()
            );
            (format!("{field}.enabled"), text)
        };
        let mut own: Vec<&str> = Vec::new();
        let set = self.points.get(&point);
        for plugin in set.iter().flat_map(|set| &set.enabled) {
            if own.contains(&plugin.name.as_str()) {
                return Err(twice(point.field(), &plugin.name));
            }
            own.push(&plugin.name);
        }
        let disabled =
            |name: &str| set.is_some_and(|set| set.disabled.iter().any(|one| one == name));
        if disabled("*") {
            return Ok(own);
        }
        let mut overridden = Vec::new();
        let mut added = Vec::new();
        for plugin in &self.multi_point.enabled {
            let name = plugin.name.as_str();
            if !implements(name, point) || disabled(name) {
                continue;
            }
            if own.contains(&name) {
                overridden.push(name);
            } else if added.contains(&name) {
                return Err(twice("multiPoint", name));
            } else {
                added.push(name);
            }
        }
        let (first, last): (Vec<_>, Vec<_>) =
            own.into_iter().partition(|name| overridden.contains(name));
        Ok(first.into_iter().chain(added).chain(last).collect())
    }

    /// The weight of a plugin: the one given at the point, else the one of multiPoint, else 1.
    /// Source: `getValidScoreWeights`.
    fn weight(&self, name: &str, point: Point) -> i64 {
        if !point.is_weighted() {
            return 0;
        }
        let own = self.points.get(&point).into_iter();
        let mut named = own
            .flat_map(|set| &set.enabled)
            .chain(&self.multi_point.enabled)
            .filter(|plugin| plugin.name == name);
        let weight = named.next().and_then(|plugin| plugin.weight).unwrap_or(0);
        if weight == 0 { 1 } else { i64::from(weight) }
    }
}

#[cfg(test)]
mod tests;
