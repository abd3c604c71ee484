//! `/projects/{project}/runs/{run}/events`: the run's events as they happen (SSE).

use crate::{
    training::run_feed::{FeedItem, RunFeed},
    web::{access::Engineer, error::AppError, of::Of, streams::OpenStreams, typed::TypedQuery},
};
use actix_web::{HttpRequest, Responder, web};
use actix_web_lab::sse::{self, Sse};
use entity::run::{self, RunStatus};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;

/// A comment keeps connections open that proxies would close.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long a browser waits before it connects again.
const RETRY: Duration = Duration::from_secs(2);

#[derive(Deserialize)]
pub struct Position {
    /// The newest event that the page was rendered with.
    #[serde(default)]
    after: i64,
}

/// A reconnecting browser says in `Last-Event-ID` what it has; the page's first connection says it
/// in the address.
pub async fn follow(
    request: HttpRequest,
    Of(by, run): Of<Engineer, run::Model>,
    position: TypedQuery<Position>,
    feed: web::Data<RunFeed>,
    streams: web::Data<OpenStreams>,
) -> Result<impl Responder, AppError> {
    let open = streams.open(by.account.id)?;
    let resumed =
        request.headers().get("Last-Event-ID").and_then(|id| id.to_str().ok()?.parse().ok());
    let events = feed.follow(run.id, resumed.unwrap_or(position.after)).map(move |told| {
        let _ = &open; // counted for as long as somebody listens
        told.map(as_sent)
    });
    Ok(Sse::from_stream(events).with_keep_alive(HEARTBEAT).with_retry_duration(RETRY))
}

/// An event carries its sequence number as `id`; what is said about the run has a name and no
/// `id`, so that it does not move the browser's position.
fn as_sent(told: FeedItem) -> sse::Event {
    let named = |name: &'static str, status: RunStatus| {
        sse::Data::new(json!({ "status": status }).to_string()).event(name)
    };
    match told {
        FeedItem::Event { sequence, event } => {
            sse::Data::new(event.to_string()).id(sequence.to_string())
        }
        FeedItem::Status(status) => named("status", status),
        FeedItem::End(status) => named("end", status),
    }
    .into()
}
