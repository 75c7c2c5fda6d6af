//! What is asked of the server, and what it answers.

use std::sync::Arc;

use serde_json::Value;

use super::kinds::Kind;
use super::list::{List, ListOptions};
use super::status::Status;
use super::store::Object;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Read one object.
    Get,
    /// Read many.
    List,
    /// Make one.
    Create,
    /// Replace one.
    Update,
    /// Change one.
    Patch(PatchType),
    /// Remove one.
    Delete,
    /// Remove those of a list.
    DeleteCollection,
}

/// How a patch is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchType {
    /// RFC 7386: lists are replaced.
    Merge,
    /// Kubernetes' own: some lists are merged by a key.
    Strategic,
}

/// Which part of an object it is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// All but the status.
    #[default]
    Whole,
    /// `/status`: all but the spec.
    Status,
    /// `/binding`: the node of a pod.
    Binding,
}

/// A request other than a watch.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is to be done.
    pub verb: Verb,
    /// With which kind.
    pub kind: &'static Kind,
    /// With which part.
    pub part: Part,
    /// In which namespace; empty for all, and for kinds without.
    pub namespace: String,
    /// With which object; empty for many and for new ones.
    pub name: String,
    /// The object or the patch.
    pub body: Value,
    /// Which ones, for lists.
    pub list: ListOptions,
    /// How, for deletions.
    pub delete: DeleteOptions,
}

impl Request {
    /// A request about one object, or about all, with nothing further.
    #[must_use]
    pub fn new(verb: Verb, kind: &'static Kind, namespace: &str, name: &str) -> Self {
        Self {
            verb,
            kind,
            part: Part::Whole,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            body: Value::Null,
            list: ListOptions::default(),
            delete: DeleteOptions::default(),
        }
    }

    /// The same with a body.
    #[must_use]
    pub fn with_body(mut self, body: Value) -> Self {
        self.body = body;
        self
    }

    /// The same for a part.
    #[must_use]
    pub fn of(mut self, part: Part) -> Self {
        self.part = part;
        self
    }

    pub(super) fn writes(&self) -> bool {
        !matches!(self.verb, Verb::Get | Verb::List)
    }
}

/// How to delete.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// How long a pod may take to end, in seconds.
    pub grace: Option<u64>,
    /// Only the object with this uid.
    pub uid: Option<String>,
    /// Only the object in this version.
    pub version: Option<String>,
}

/// What became of a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The server's word.
    Reply(Result<Reply, Status>),
    /// The request was carried out, and the connection broke before the answer.
    Lost,
}

impl Answer {
    /// The reply; an answer that was lost is an error of its own.
    ///
    /// # Errors
    ///
    /// What the server refused, or that nothing was heard.
    pub fn reply(self) -> Result<Reply, Status> {
        match self {
            Self::Reply(reply) => reply,
            Self::Lost => Err(Status::new(0, "", "the connection broke")),
        }
    }
}

/// A request that was granted.
#[derive(Clone, Debug)]
pub struct Reply {
    /// 200, or 201 for what was made.
    pub code: u16,
    /// The content.
    pub body: Body,
}

/// The content of a reply.
#[derive(Clone, Debug)]
pub enum Body {
    /// An object.
    Object(Arc<Object>),
    /// Several.
    List(List),
    /// A status.
    Value(Value),
}
