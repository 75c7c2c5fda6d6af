//! Node affinity as it stands in NodeAffinityArgs. Source: component-helpers
//! `scheduling/corev1/nodeaffinity`.

use serde::Serialize;
use serde_json::Value;

use super::labels;
use super::reader::{Fields, Problems, Reader};

/// An affinity to nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NodeAffinity {
    /// One of these terms must match.
    #[serde(
        rename = "requiredDuringSchedulingIgnoredDuringExecution",
        skip_serializing_if = "Option::is_none"
    )]
    pub required: Option<NodeSelector>,
    /// Nodes that match these are preferred.
    #[serde(
        rename = "preferredDuringSchedulingIgnoredDuringExecution",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub preferred: Vec<PreferredTerm>,
}

/// Terms of which one must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NodeSelector {
    /// The terms.
    #[serde(rename = "nodeSelectorTerms")]
    pub terms: Vec<NodeTerm>,
}

/// A preferred term.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PreferredTerm {
    /// How much it counts.
    pub weight: i32,
    /// What is preferred.
    pub preference: NodeTerm,
}

/// Requirements that must all hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeTerm {
    /// On labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<NodeRequirement>,
    /// On fields; only metadata.name exists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_fields: Vec<NodeRequirement>,
}

/// One requirement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NodeRequirement {
    /// Label key or field name.
    pub key: String,
    /// In, NotIn, Exists, DoesNotExist, Gt or Lt.
    pub operator: String,
    /// Values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

impl NodeAffinity {
    pub(super) fn read(reader: Reader<'_>) -> Option<Self> {
        let mut fields = reader.fields()?;
        let required = fields
            .get("requiredDuringSchedulingIgnoredDuringExecution")
            .and_then(NodeSelector::read);
        let preferred = fields.each(
            "preferredDuringSchedulingIgnoredDuringExecution",
            PreferredTerm::read,
        );
        fields.finish();
        Some(Self {
            required,
            preferred,
        })
    }
}

impl NodeSelector {
    fn read(reader: Reader<'_>) -> Option<Self> {
        let mut fields = reader.fields()?;
        let terms = fields.each("nodeSelectorTerms", |reader| {
            let mut fields = reader.fields()?;
            let term = NodeTerm::read(&mut fields, true);
            fields.finish();
            Some(term)
        });
        fields.finish();
        Some(Self { terms })
    }
}

impl PreferredTerm {
    fn read(reader: Reader<'_>) -> Option<Self> {
        let mut fields = reader.fields()?;
        let weight = fields.get("weight").and_then(|one| one.integer());
        let weight = weight.unwrap_or(0);
        let mut preference = NodeTerm::default();
        if let Some(mut inner) = fields.get("preference").and_then(Reader::fields) {
            // One that weighs nothing is not looked at.
            preference = NodeTerm::read(&mut inner, weight != 0);
            inner.finish();
        }
        fields.finish();
        Some(Self { weight, preference })
    }
}

impl NodeTerm {
    fn read(fields: &mut Fields<'_>, checked: bool) -> Self {
        let mut list = |name, check: Check| {
            let check = checked.then_some(check);
            fields.each(name, |reader| NodeRequirement::read(reader, check))
        };
        Self {
            match_expressions: list("matchExpressions", NodeRequirement::check_label),
            match_fields: list("matchFields", NodeRequirement::check_field),
        }
    }
}

/// Says what is wrong with a requirement, given its path and those of its values.
type Check = fn(&NodeRequirement, &str, &[String], &Problems);

impl NodeRequirement {
    fn read(reader: Reader<'_>, check: Option<Check>) -> Option<Self> {
        let mut fields = reader.fields()?;
        let key = fields.text("key").unwrap_or_default();
        let operator = fields.text("operator").unwrap_or_default();
        let values = fields.each("values", |one| Some((one.path.clone(), one.text()?)));
        let (paths, values): (Vec<_>, Vec<_>) = values.into_iter().unzip();
        let requirement = Self {
            key,
            operator,
            values,
        };
        if let Some(check) = check {
            check(&requirement, &fields.path, &paths, fields.problems);
        }
        fields.finish();
        Some(requirement)
    }

    fn check_label(&self, path: &str, values_at: &[String], problems: &Problems) {
        const OPERATORS: &[&str] = &["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"];
        if !OPERATORS.contains(&self.operator.as_str()) {
            problems.unsupported(&format!("{path}.operator"), &self.operator, OPERATORS);
            return;
        }
        let key = labels::key_problems(&self.key);
        if !key.is_empty() {
            problems.invalid(&format!("{path}.key"), self.key.clone(), &key.join("; "));
        }
        let values = format!("{path}.values");
        let shown = || Value::from(self.values.clone());
        match self.operator.as_str() {
            "In" | "NotIn" if self.values.is_empty() => {
                let why = "for 'in', 'notin' operators, values set can't be empty";
                problems.invalid(&values, shown(), why);
            }
            "Exists" | "DoesNotExist" if !self.values.is_empty() => {
                let why = "values set must be empty for exists and does not exist";
                problems.invalid(&values, shown(), why);
            }
            "Gt" | "Lt" => {
                if self.values.len() != 1 {
                    let why = "for 'Gt', 'Lt' operators, exactly one value is required";
                    problems.invalid(&values, shown(), why);
                }
                for (path, value) in values_at.iter().zip(&self.values) {
                    if value.parse::<i64>().is_err() {
                        let why = "for 'Gt', 'Lt' operators, the value must be an integer";
                        problems.invalid(path, value.clone(), why);
                    }
                }
            }
            _ => {}
        }
        for (path, value) in values_at.iter().zip(&self.values) {
            let wrong = labels::value_problems(value);
            if !wrong.is_empty() {
                let path = format!("{path}[{}]", self.key);
                problems.invalid(&path, value.clone(), &wrong.join("; "));
            }
        }
    }

    fn check_field(&self, path: &str, _: &[String], problems: &Problems) {
        const OPERATORS: &[&str] = &["In", "NotIn"];
        if !OPERATORS.contains(&self.operator.as_str()) {
            problems.unsupported(&format!("{path}.operator"), &self.operator, OPERATORS);
        } else if self.values.len() != 1 {
            let values = Value::from(self.values.clone());
            problems.invalid(&format!("{path}.values"), values, "must have one element");
        }
    }
}
