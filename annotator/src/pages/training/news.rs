//! `/runs/news`: how far several runs are, as it changes (SSE). One such stream serves all windows of
//! a browser, which allows six connections to a host and no more.

use crate::{
    training::run_feed::{RunFeed, RunNews},
    web::{
        access::{Engineer, RoleArgument, SignedIn},
        error::AppError,
        streams::OpenStreams,
        typed::TypedQuery,
    },
};
use actix_web::{HttpRequest, HttpResponse, Responder, web};
use actix_web_lab::sse::{self, Sse};
use entity::{ids::RunId, run};
use futures_util::{StreamExt, stream};
use sea_orm::{DatabaseConnection, EntityTrait};
use serde_json::json;
use std::{convert::Infallible, time::Duration};

/// A comment keeps connections open that proxies would close.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long a browser waits before it connects again.
const RETRY: Duration = Duration::from_secs(2);

/// The most runs that one stream tells of; more windows than that are seldom looked at.
const MAX_RUNS: usize = 24;

/// Of the runs that the address names (`?run=…&run=…`), those that the person may see; others are not
/// there.
pub async fn follow(
    request: HttpRequest,
    SignedIn(account): SignedIn,
    named: TypedQuery<Vec<(String, RunId)>>,
    feed: web::Data<RunFeed>,
    streams: web::Data<OpenStreams>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let mut told = Vec::new();
    for (_, id) in named.iter().filter(|(name, _)| name == "run").take(MAX_RUNS) {
        let Some(run) = run::Entity::find_by_id(*id).one(db.get_ref()).await? else { continue };
        match Engineer::in_project(&request, run.project_id).await {
            Ok(_) => told.push(feed.news(run.id).boxed_local()),
            Err(AppError::NotFound | AppError::Forbidden) => {}
            Err(error) => return Err(error),
        }
    }
    if told.is_empty() {
        // Which tells a browser not to ask again.
        return Ok(HttpResponse::NoContent().finish());
    }
    let open = streams.open(account.id)?;
    let news = stream::select_all(told).map(move |news| {
        let _ = &open; // counted for as long as somebody listens
        Ok::<_, Infallible>(as_sent(&news))
    });
    let answer = Sse::from_stream(news).with_keep_alive(HEARTBEAT).with_retry_duration(RETRY);
    Ok(answer.respond_to(&request).map_into_boxed_body())
}

fn as_sent(news: &RunNews) -> sse::Event {
    let told = json!({
        "run": news.run,
        "last": news.last,
        "status": news.status,
        "is_over": news.status.is_final(),
    });
    sse::Data::new(told.to_string()).into()
}
