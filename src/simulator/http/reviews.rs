//! Questions for rights. There are no users here, so everybody may do everything.

use axum::response::Response;
use serde_json::{Value, json};

use crate::simulator::status::Status;

/// Where somebody asks what he himself may do.
pub(super) const PATH: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// Grants what is asked for.
pub(super) fn grant(body: &[u8]) -> Result<Response, Status> {
    let mut review: Value = serde_json::from_slice(body).map_err(|error| {
        Status::bad_request(format!(
            "the object provided is unrecognized (must be of type SelfSubjectAccessReview): \
             couldn't get version/kind; json parse error: {error}"
        ))
    })?;
    if !review["spec"].is_object() {
        return Err(Status::bad_request("a review without a spec"));
    }
    review["kind"] = json!("SelfSubjectAccessReview");
    review["apiVersion"] = json!("authorization.k8s.io/v1");
    review["metadata"] = json!({});
    review["status"] = json!({ "allowed": true });
    Ok(super::json(201, review.to_string()))
}
