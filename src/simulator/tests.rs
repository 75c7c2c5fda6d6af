//! One case for each rule of the server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod faults;
mod kinds;
mod news;
mod objects;
mod pod_groups;

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::model::Time;

impl ApiServer {
    /// All objects of a kind, to whom nothing goes wrong.
    pub(crate) fn objects(&self, kind: &Kind) -> Vec<Arc<Object>> {
        self.table(kind).objects().values().cloned().collect()
    }
}

struct Cluster(ApiServer, u64);

fn pods() -> &'static Kind {
    find("", "v1", "pods").unwrap()
}

impl Cluster {
    fn new() -> Self {
        Self(ApiServer::new(Config::default()), 0)
    }

    fn now(&self) -> Time {
        Time::from_secs(self.1)
    }

    fn call(&mut self, request: Request) -> Result<Value, Status> {
        let now = self.now();
        let reply = self.0.call(&request, now).reply()?;
        Ok(match reply.body {
            Body::Object(object) => object.value().clone(),
            Body::List(list) => serde_json::from_str(&list.text()).unwrap(),
            Body::Value(value) => value,
        })
    }

    fn create(&mut self, pod: Value) -> Result<Value, Status> {
        self.call(Request::new(Verb::Create, pods(), "default", "").with_body(pod))
    }

    fn get(&mut self, name: &str) -> Result<Value, Status> {
        self.call(Request::new(Verb::Get, pods(), "default", name))
    }

    fn bind(&mut self, name: &str, node: &str, metadata: &Value) -> Result<Value, Status> {
        let mut body = json!({ "metadata": { "name": name }, "target": { "name": node } });
        for (key, value) in metadata.as_object().unwrap() {
            body["metadata"][key] = value.clone();
        }
        self.call(
            Request::new(Verb::Create, pods(), "default", name)
                .of(Part::Binding)
                .with_body(body),
        )
    }

    fn patch(
        &mut self,
        how: PatchType,
        part: Part,
        name: &str,
        body: Value,
    ) -> Result<Value, Status> {
        let request = Request::new(Verb::Patch(how), pods(), "default", name);
        self.call(request.of(part).with_body(body))
    }

    fn delete(&mut self, name: &str, grace: Option<u64>) -> Result<Value, Status> {
        let mut request = Request::new(Verb::Delete, pods(), "default", name);
        request.delete.grace = grace;
        self.call(request)
    }

    fn watch(&mut self, options: &WatchOptions) -> Watch {
        let now = self.now();
        self.0.watch(pods(), "default", options, now).unwrap()
    }

    fn lines(&mut self, watch: &mut Watch) -> Vec<String> {
        let now = self.now();
        let frames = self.0.poll(watch, now, 100);
        let lines = frames.iter().map(|frame| match frame {
            Frame::Event(word, object) => {
                format!(
                    "{word} {}",
                    object.value()["metadata"]["name"].as_str().unwrap()
                )
            }
            Frame::Bookmark { initial, .. } => format!("BOOKMARK {initial}"),
            Frame::Error(status) => format!("ERROR {} {}", status.code, status.reason),
        });
        lines.collect()
    }
}

fn pod(name: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": { "containers": [{ "name": "c", "image": "i" }] },
    })
}

fn refused(result: Result<Value, Status>) -> (u16, &'static str, String) {
    let status = result.unwrap_err();
    (status.code, status.reason, status.message)
}
