//! Who goes first.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::*;

#[tokio::test]
async fn what_was_not_sent_is_left_out() {
    let told = Told::default();
    told.settle("a").await;
    told.ordered("a");
    told.settle("a").await;
    assert!(!told.may_send("a"));
    told.ended("a", false);
    // The bind has failed, and the pod is told of the next attempt.
    told.ordered("a");
    assert!(told.may_send("a"));
    told.ended("a", true);
    assert!(told.pods().is_empty());
}

#[tokio::test]
async fn what_was_sent_goes_first() {
    let told = Arc::new(Told::default());
    told.ordered("a");
    told.ordered("b");
    assert!(told.may_send("a") && told.may_send("b"));
    let waits = tokio::spawn({
        let told = Arc::clone(&told);
        async move { told.settle("a").await }
    });
    tokio::task::yield_now().await;
    told.ended("b", true);
    tokio::task::yield_now().await;
    assert!(!waits.is_finished());
    told.ended("a", true);
    waits.await.unwrap();
}
