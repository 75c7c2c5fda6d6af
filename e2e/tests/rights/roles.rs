//! What a service account may do, from the roles that are bound to it.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Result, bail};
use e2e::harness::Cluster;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

/// One thing that somebody may do, or does.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// The API group.
    pub group: String,
    /// The resource with its subresource, such as `pods/binding`.
    pub resource: String,
    /// The verb.
    pub verb: String,
    /// Where; None for the whole cluster.
    pub namespace: Option<String>,
    /// The object; None for any.
    pub name: Option<String>,
}

impl Right {
    /// Whether a request is allowed by it.
    pub fn covers(&self, request: &Self) -> bool {
        let within = |own: &Option<String>, asked| own.is_none() || own == asked;
        self.group == request.group
            && self.resource == request.resource
            && self.verb == request.verb
            && within(&self.namespace, &request.namespace)
            && within(&self.name, &request.name)
    }
}

/// In one line, for the lists of a test that fails.
impl fmt::Debug for Right {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            group,
            resource,
            verb,
            namespace,
            name,
        } = self;
        write!(formatter, "{verb} {resource}")?;
        if !group.is_empty() {
            write!(formatter, " of {group}")?;
        }
        if let Some(name) = name {
            write!(formatter, " named {name}")?;
        }
        if let Some(namespace) = namespace {
            write!(formatter, " in {namespace}")?;
        }
        Ok(())
    }
}

/// All that is granted to a service account by its name.
pub async fn granted(client: &Client, namespace: &str, name: &str) -> Result<BTreeSet<Right>> {
    let all = ListParams::default();
    let is_meant = |subjects: &Option<Vec<Subject>>| {
        subjects.iter().flatten().any(|subject| {
            subject.kind == "ServiceAccount"
                && subject.name == name
                && subject.namespace.as_deref() == Some(namespace)
        })
    };
    let mut rights = BTreeSet::new();
    let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    for binding in bindings.list(&all).await? {
        if is_meant(&binding.subjects) {
            add(
                &mut rights,
                None,
                &rules(client, &binding.role_ref, None).await?,
            )?;
        }
    }
    let bindings: Api<RoleBinding> = Api::all(client.clone());
    for binding in bindings.list(&all).await? {
        if is_meant(&binding.subjects) {
            let within = binding.metadata.namespace.as_deref();
            add(
                &mut rights,
                within,
                &rules(client, &binding.role_ref, within).await?,
            )?;
        }
    }
    Ok(rights)
}

async fn rules(
    client: &Client,
    role: &RoleRef,
    namespace: Option<&str>,
) -> Result<Vec<PolicyRule>> {
    let rules = match (role.kind.as_str(), namespace) {
        ("Role", Some(namespace)) => {
            let roles: Api<Role> = Api::namespaced(client.clone(), namespace);
            roles.get(&role.name).await?.rules
        }
        _ => {
            let roles: Api<ClusterRole> = Api::all(client.clone());
            roles.get(&role.name).await?.rules
        }
    };
    Ok(rules.unwrap_or_default())
}

fn add(rights: &mut BTreeSet<Right>, namespace: Option<&str>, rules: &[PolicyRule]) -> Result<()> {
    for rule in rules {
        let groups = rule.api_groups.iter().flatten();
        let resources = rule.resources.iter().flatten();
        let words = groups.clone().chain(resources.clone()).chain(&rule.verbs);
        if rule.non_resource_urls.is_some() || words.into_iter().any(|word| word.contains('*')) {
            bail!("this says more than it names: {rule:?}");
        }
        let names = rule.resource_names.iter().flatten().cloned().map(Some);
        let names: Vec<_> = match &rule.resource_names {
            Some(listed) if !listed.is_empty() => names.collect(),
            _ => vec![None],
        };
        for group in groups {
            for resource in resources.clone() {
                for verb in &rule.verbs {
                    rights.extend(names.iter().map(|name| Right {
                        group: group.clone(),
                        resource: resource.clone(),
                        verb: verb.clone(),
                        namespace: namespace.map(str::to_owned),
                        name: name.clone(),
                    }));
                }
            }
        }
    }
    Ok(())
}

/// Waits until the API server grants them: it learns of roles by watches of its own.
pub async fn wait_until_in_force(
    cluster: &Cluster,
    user: &str,
    rights: &BTreeSet<Right>,
) -> Result<()> {
    let reviews: Api<SubjectAccessReview> = Api::all(cluster.client());
    for right in rights {
        let (resource, subresource) =
            (right.resource.split_once('/')).unwrap_or((&right.resource, ""));
        let review: SubjectAccessReview = serde_json::from_value(json!({
            "metadata": {},
            "spec": {
                "user": user,
                "resourceAttributes": {
                    "group": right.group,
                    "resource": resource,
                    "subresource": subresource,
                    "verb": right.verb,
                    "namespace": right.namespace,
                    "name": right.name,
                },
            },
        }))?;
        cluster
            .eventually(&format!("right to {right:?}"), async || {
                let answer = reviews.create(&PostParams::default(), &review).await?;
                Ok(answer.status.filter(|status| status.allowed))
            })
            .await?;
    }
    Ok(())
}
