//! Clears the history of a topic.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use super::name::TopicName;
use crate::http::HttpState;
use crate::http::body::json_response;
use crate::problem::Problem;

/// The position up to which the history of a topic is gone.
#[derive(Serialize)]
struct Cleared {
    topic: String,
    epoch: String,
    offset: u64,
}

/// `DELETE /api/v1/topics/{topic}/history`: clears the history of a topic.
pub(super) async fn clear(
    State(state): State<HttpState>,
    TopicName(topic): TopicName,
) -> Result<Response, Problem> {
    let position = state.engine.clear_history(&topic).await?;
    tracing::info!(%topic, "history cleared by the API");
    let (epoch, offset) = (position.epoch.to_string(), position.offset);
    Ok(json_response(&Cleared { topic: topic.to_string(), epoch, offset }))
}
