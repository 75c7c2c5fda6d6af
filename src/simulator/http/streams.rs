//! Watches as bodies that go on.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use tokio::sync::watch as signal;

use super::Shared;
use super::path::Target;
use super::query::Query;
use super::tables::Form;
use crate::simulator::status::Status;
use crate::simulator::watch::Watch;

/// How many lines are sent at once.
const BATCH: usize = 256;

/// A watch and what it waits for.
struct Stream {
    shared: Arc<Shared>,
    watch: Watch,
    form: Form,
    changes: signal::Receiver<()>,
    stopping: signal::Receiver<bool>,
}

pub(super) fn start(
    shared: &Arc<Shared>,
    target: &Target,
    query: &Query,
    form: Form,
) -> Result<Response, Status> {
    // Before the watch begins, so that no change is missed.
    let changes = shared
        .changes_of(target.kind)
        .ok_or_else(Status::no_such_resource)?;
    let options = query.watch()?;
    let now = shared.now();
    let watch = shared
        .lock()
        .watch(target.kind, &target.namespace, &options, now)?;
    let stream = Stream {
        shared: Arc::clone(shared),
        watch,
        form,
        changes,
        stopping: shared.stopping.subscribe(),
    };
    let lines = futures::stream::unfold(stream, |mut stream| async move {
        let lines = stream.next().await?;
        Some((Ok::<_, std::convert::Infallible>(lines), stream))
    });
    Ok((
        [(header::CONTENT_TYPE, "application/json")],
        Body::from_stream(lines),
    )
        .into_response())
}

impl Stream {
    /// The next lines; none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.watch.ended() || *self.stopping.borrow() {
                return None;
            }
            self.changes.mark_unchanged();
            let now = self.shared.now();
            let frames = self.shared.lock().poll(&mut self.watch, now, BATCH);
            if !frames.is_empty() {
                let kind = self.watch.kind();
                let lines: String = (frames.iter())
                    .map(|frame| self.form.frame(kind, frame))
                    .collect();
                return Some(lines.into());
            }
            if self.watch.ended() {
                return None;
            }
            let wait = self.watch.wake_at(now).since(now);
            tokio::select! {
                changed = self.changes.changed() => changed.ok()?,
                _ = self.stopping.changed() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}
