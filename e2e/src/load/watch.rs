//! A watch on pods that decodes no more than who they are and where they run.

use std::borrow::Cow;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::{Buf, Bytes, BytesMut};
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::connection::{Connection, Server};
use super::pods_path;

/// A watch that is ended more often than this is none.
const MAX_RESTARTS: u32 = 20;

/// What happened to a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Kind {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// The little that is decoded of a pod.
#[derive(Debug, Deserialize)]
pub struct Pod<'a> {
    /// Its name and uid.
    #[serde(borrow)]
    pub metadata: Metadata<'a>,
    /// Its node.
    #[serde(borrow, default)]
    pub spec: Spec<'a>,
}

/// Who a pod is; of a bookmark only the version.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata<'a> {
    /// The name.
    #[serde(borrow, default)]
    pub name: Cow<'a, str>,
    /// The uid.
    #[serde(borrow, default)]
    pub uid: Cow<'a, str>,
    /// The version.
    #[serde(borrow)]
    pub resource_version: Cow<'a, str>,
}

/// Where a pod runs, and how important it is.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec<'a> {
    /// Its priority class, if it has one.
    #[serde(borrow)]
    pub priority_class_name: Option<Cow<'a, str>>,
    /// The node, once there is one.
    #[serde(borrow)]
    pub node_name: Option<Cow<'a, str>>,
}

/// A running watch on the pods of the load's namespace.
pub struct Watch {
    server: Arc<Server>,
    selector: String,
    version: String,
    body: Incoming,
    // Held as long as the answer is read from it.
    connection: Connection,
    buffer: BytesMut,
    /// How far the buffer was searched for the end of a line.
    searched: usize,
    restarts: u32,
}

impl Watch {
    /// Watches pods that match a field selector from now on. There must be none yet.
    pub async fn start(server: &Arc<Server>, field_selector: &str) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct ListMeta {
            resource_version: String,
        }
        #[derive(Deserialize)]
        struct List<'a> {
            metadata: ListMeta,
            #[serde(borrow)]
            items: Vec<&'a RawValue>,
        }
        let selector = field_selector.replace('!', "%21").replace('=', "%3D");
        let path = pods_path(&format!("?limit=1&fieldSelector={selector}"));
        let mut connection = server.connection();
        let list = connection.call(Method::GET, &path, Bytes::new()).await?;
        let list: List<'_> = serde_json::from_slice(&list).context("cannot read a list of pods")?;
        if !list.items.is_empty() {
            bail!("there are pods already that match {field_selector}");
        }
        let version = list.metadata.resource_version;
        Ok(Self {
            server: Arc::clone(server),
            body: open(&mut connection, &selector, &version).await?,
            connection,
            selector,
            version,
            buffer: BytesMut::new(),
            searched: 0,
            restarts: 0,
        })
    }

    /// How often the API server has ended the watch so far.
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// Waits for the next changes and hands each to `see`. When the API server ends the watch, as it may at any time, it
    /// goes on with what has changed since.
    pub async fn next(&mut self, mut see: impl FnMut(Pod<'_>)) -> Result<()> {
        let data = match self.body.frame().await {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => data,
                Err(_) => return Ok(()),
            },
            None | Some(Err(_)) => return self.restart().await,
        };
        self.buffer.extend_from_slice(&data);
        while let Some(length) = memchr::memchr(b'\n', &self.buffer[self.searched..]) {
            let end = self.searched + length;
            let line = &self.buffer[..end];
            if !line.is_empty() {
                decode(line, &mut self.version, &mut see)?;
            }
            self.buffer.advance(end + 1);
            self.searched = 0;
        }
        self.searched = self.buffer.len();
        Ok(())
    }

    async fn restart(&mut self) -> Result<()> {
        self.restarts += 1;
        if self.restarts > MAX_RESTARTS {
            bail!("the API server has ended the watch on pods {MAX_RESTARTS} times");
        }
        self.buffer.clear();
        self.searched = 0;
        self.connection = self.server.connection();
        self.body = open(&mut self.connection, &self.selector, &self.version).await?;
        Ok(())
    }
}

/// Opens a watch from a version on.
async fn open(connection: &mut Connection, selector: &str, version: &str) -> Result<Incoming> {
    let path = pods_path(&format!(
        "?watch=1&allowWatchBookmarks=true&timeoutSeconds=3600&fieldSelector={selector}&resourceVersion={version}"
    ));
    connection.stream(&path).await
}

/// Decodes one line of a watch and keeps its version.
fn decode(line: &[u8], version: &mut String, see: &mut impl FnMut(Pod<'_>)) -> Result<()> {
    let frame: Frame<'_> =
        serde_json::from_slice(line).context("cannot read an event of the watch on pods")?;
    if frame.kind == Kind::Error {
        bail!("the watch on pods failed: {}", frame.object.get());
    }
    let pod: Pod<'_> = serde_json::from_str(frame.object.get()).context("cannot read a pod")?;
    version.clear();
    version.push_str(&pod.metadata.resource_version);
    if matches!(frame.kind, Kind::Added | Kind::Modified) {
        see(pod);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn decodes_names_and_nodes() {
        let line = br#"{"type":"ADDED","object":{"kind":"Pod","metadata":{"name":"a-1","uid":"u","labels":{"x":"y"},
            "resourceVersion":"7"},"spec":{"nodeName":"n\u0031","containers":[]},"status":{}}}"#;
        let mut seen = Vec::new();
        let mut version = String::new();
        decode(line, &mut version, &mut |pod| {
            seen.push((
                pod.metadata.name.into_owned(),
                pod.spec.node_name.map(Cow::into_owned),
            ));
        })
        .unwrap();
        assert_eq!(seen, [("a-1".to_owned(), Some("n1".to_owned()))]);
        assert_eq!(version, "7");
    }

    #[test]
    fn a_bookmark_is_a_version_and_nothing_else() {
        let line = br#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"},"spec":{"containers":null}}}"#;
        let mut version = "7".to_owned();
        let mut seen = 0;
        decode(line, &mut version, &mut |_| seen += 1).unwrap();
        assert_eq!(seen, 0);
        assert_eq!(version, "9");
    }

    #[test]
    fn an_error_event_ends_the_watch() {
        let line = br#"{"type":"ERROR","object":{"code":410,"message":"too old"}}"#;
        let error = decode(line, &mut String::new(), &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains("too old"));
    }
}
