//! A watch on pods that decodes no more than who they are and where they run.

use std::borrow::Cow;

use anyhow::{Context, Result, bail};
use bytes::{Buf, Bytes, BytesMut};
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::connection::Server;
use super::pods_path;

/// What happened to a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    /// It began to match the watch.
    Added,
    /// It changed.
    Modified,
    /// It no longer matches the watch.
    Deleted,
    /// Nothing; a sign of life.
    Bookmark,
    /// The watch is over.
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

/// Who a pod is.
#[derive(Debug, Deserialize)]
pub struct Metadata<'a> {
    /// The name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// The uid.
    #[serde(borrow)]
    pub uid: Cow<'a, str>,
}

/// Where a pod runs.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec<'a> {
    /// The node, once there is one.
    #[serde(borrow)]
    pub node_name: Option<Cow<'a, str>>,
}

/// A running watch on the pods of the load's namespace.
pub struct Watch {
    body: Incoming,
    buffer: BytesMut,
    /// How far the buffer was searched for the end of a line.
    searched: usize,
}

impl Watch {
    /// Watches pods that match a field selector from now on. There must be none yet.
    pub async fn start(server: &std::sync::Arc<Server>, field_selector: &str) -> Result<Self> {
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
        let mut connection = server.connection();
        let list = connection
            .call(
                Method::GET,
                &pods_path(&format!("?limit=1&fieldSelector={selector}")),
                Bytes::new(),
            )
            .await?;
        let list: List<'_> = serde_json::from_slice(&list).context("cannot read a list of pods")?;
        if !list.items.is_empty() {
            bail!("there are pods already that match {field_selector}");
        }
        let path = pods_path(&format!(
            "?watch=1&timeoutSeconds=3600&fieldSelector={selector}&resourceVersion={}",
            list.metadata.resource_version
        ));
        Ok(Self {
            body: connection.stream(&path).await?,
            buffer: BytesMut::new(),
            searched: 0,
        })
    }

    /// Waits for the next changes and hands each to `see`. Ends with an error when the watch does.
    pub async fn next(&mut self, mut see: impl FnMut(Kind, Pod<'_>)) -> Result<()> {
        let Some(frame) = self.body.frame().await else {
            bail!("the watch on pods ended");
        };
        let Ok(data) = frame.context("the watch on pods broke")?.into_data() else {
            return Ok(());
        };
        self.buffer.extend_from_slice(&data);
        while let Some(length) = memchr::memchr(b'\n', &self.buffer[self.searched..]) {
            let end = self.searched + length;
            let line = &self.buffer[..end];
            if !line.is_empty() {
                decode(line, &mut see)?;
            }
            self.buffer.advance(end + 1);
            self.searched = 0;
        }
        self.searched = self.buffer.len();
        Ok(())
    }
}

/// Decodes one line of a watch.
fn decode(line: &[u8], see: &mut impl FnMut(Kind, Pod<'_>)) -> Result<()> {
    let frame: Frame<'_> =
        serde_json::from_slice(line).context("cannot read an event of the watch on pods")?;
    match frame.kind {
        Kind::Error => bail!("the watch on pods ended: {}", frame.object.get()),
        Kind::Bookmark => {}
        kind => see(
            kind,
            serde_json::from_str(frame.object.get()).context("cannot read a pod")?,
        ),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn decodes_names_and_nodes() {
        let line = br#"{"type":"ADDED","object":{"kind":"Pod","metadata":{"name":"a-1","uid":"u","labels":{"x":"y"}},
            "spec":{"nodeName":"n\u0031","containers":[]},"status":{}}}"#;
        let mut seen = Vec::new();
        decode(line, &mut |kind, pod: Pod<'_>| {
            seen.push((
                kind,
                pod.metadata.name.into_owned(),
                pod.spec.node_name.map(Cow::into_owned),
            ));
        })
        .unwrap();
        assert_eq!(
            seen,
            [(Kind::Added, "a-1".to_owned(), Some("n1".to_owned()))]
        );
    }

    #[test]
    fn an_error_event_ends_the_watch() {
        let line = br#"{"type":"ERROR","object":{"code":410,"message":"too old"}}"#;
        let error = decode(line, &mut |_, _| {}).unwrap_err();
        assert!(error.to_string().contains("too old"));
    }
}
