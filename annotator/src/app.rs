//! The server: built, then run. Tests build it on port 0.

use crate::{
    config::{ListenAddress, ServeConfig},
    data::import::queue::ImportQueue,
    database,
    keeping::readiness::ReadinessCheck,
    metrics::metrics,
    models::live::LiveModels,
    people::sign_in_limit::SignInLimit,
    routes,
    start::{background::BackgroundTasks, first_start},
    training::{row_counter::RowCounter, run_digest::RunDigests, run_feed::RunFeed},
    web::{
        assets,
        client_address::TrustedProxies,
        connection,
        cookies::CookieSecurity,
        csrf, error, error_pages, form_guard,
        i18n::Language,
        once, prefetch,
        request_body::{self, LargeBodies},
        request_log, security_headers, session,
        streams::OpenStreams,
        watched_streams::{self, WatchedStreams},
    },
};
use actix_web::{
    App as ActixApp, Error,
    body::{self, BodySize, BoxBody, MessageBody},
    dev::{Server, ServerHandle, ServiceRequest, ServiceResponse},
    http::Method,
    middleware::{Compress, Next, from_fn},
    web,
};
use anyhow::Context;
use sea_orm::DatabaseConnection;
use std::pin::pin;
use storage::artifact_store::ArtifactStore;
use tokio::signal::unix::{SignalKind, signal};

pub struct App {
    server: Server,
    config: ServeConfig,
    store: ArtifactStore,
    /// Where it can be reached, as people write it.
    address: ListenAddress,
    db: DatabaseConnection,
    live: web::Data<LiveModels>,
    imports: web::Data<ImportQueue>,
    feed: RunFeed,
    first_password: Option<String>,
}

impl App {
    /// Opens and migrates the database, binds the port, and makes the first account and project if
    /// there is none.
    pub async fn build(config: ServeConfig) -> anyhow::Result<Self> {
        let db = database::open_to_serve(&config.storage).await?;
        let store = ArtifactStore::open_writable(config.storage.artifacts_dir())?;
        if let Err(error) = assets::share(&store) {
            tracing::warn!(%error, "other versions cannot serve this one's pages their files");
        }
        let live = LiveModels::new(store.clone(), config.trainer.clone(), config.live_models);
        let live = web::Data::new(live);
        let feed = RunFeed::new(db.clone());
        let imports = web::Data::new(ImportQueue::new(db.clone(), &config.storage.data_dir));
        let rows = web::Data::new(RowCounter::new(db.clone(), store.clone()));
        let shared = (live.clone(), web::Data::new(feed.clone()), imports.clone(), rows);
        parse_texts();
        let (server, address) = bind(config.clone(), db.clone(), store.clone(), shared)?;
        if let Some(listen) = &config.metrics_listen {
            let folders = [
                ("data", config.storage.data_dir.clone()),
                ("artifacts", config.storage.artifacts_dir()),
            ];
            let address = metrics().serve(listen, &db, folders)?;
            tracing::info!("metrics are on http://{address}/metrics");
        }
        // Last, because the password that it makes is said once: nothing may fail after it.
        let first_password = first_start::prepare(&db).await?;
        Ok(Self { server, config, store, address, db, live, imports, feed, first_password })
    }

    pub fn port(&self) -> u16 {
        self.address.port
    }

    pub fn db(&self) -> &DatabaseConnection {
        &self.db
    }

    /// Stops the server from elsewhere.
    pub fn handle(&self) -> ServerHandle {
        self.server.handle()
    }

    /// The password of `admin`, if this start made that account.
    pub fn first_password(&self) -> Option<&str> {
        self.first_password.as_deref()
    }

    /// What the person who started the program needs to know.
    pub fn greeting(&self) -> String {
        let mut text = format!("\n  Attune is ready: http://{}\n", self.address);
        if let Some(password) = &self.first_password {
            text.push_str(&format!("  Sign in as admin with the one-time password {password}\n"));
        }
        text
    }

    /// Serves until it is told to stop (Ctrl-C, SIGTERM), letting requests in flight finish and a
    /// run write its checkpoint; a second signal does not wait for them.
    pub async fn run(self) -> anyhow::Result<()> {
        database::warn_of_open_folder(&self.config.storage.data_dir);
        let live = self.live.into_inner();
        let background = BackgroundTasks::start(
            &self.config,
            &self.db,
            &self.store,
            live.clone(),
            self.imports.into_inner(),
        )
        .await;
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let mut asked =
            async || tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} };
        let (handle, mut server) = (self.server.handle(), pin!(self.server));
        let served = tokio::select! {
            served = &mut server => served,
            () = asked() => {
                // What would stream for ever is not waited for.
                self.feed.close();
                live.put_all_away();
                // Both requests are on their way with the call; the server says when it has ended.
                drop(handle.stop(true));
                tokio::select! {
                    served = &mut server => served,
                    () = asked() => { drop(handle.stop(false)); server.await }
                }
            }
        };
        live.put_all_away();
        tokio::select! {
            () = background.stop() => {}
            () = asked() => tracing::warn!("did not wait for the checkpoint of the run under way"),
        }
        storage::database::close(self.db).await?;
        served.context("the server failed")
    }
}

/// What requests share with those who started the server.
type SharedData =
    (web::Data<LiveModels>, web::Data<RunFeed>, web::Data<ImportQueue>, web::Data<RowCounter>);

fn bind(
    config: ServeConfig,
    db: DatabaseConnection,
    store: ArtifactStore,
    (live, feed, imports, row_counter): SharedData,
) -> anyhow::Result<(Server, ListenAddress)> {
    let (listen, secure) = (config.listen.clone(), config.secure_cookies);
    let cookies = web::Data::new(CookieSecurity(secure));
    let proxies = web::Data::new(TrustedProxies(config.trusted_proxies.clone()));
    let config = web::Data::new(config);
    let store = web::Data::new(store);
    let streams = web::Data::new(OpenStreams::default());
    let digests = web::Data::new(RunDigests::new(db.clone()));
    let sent_forms = web::Data::new(once::SentForms::default());
    let watched_streams = web::Data::new(WatchedStreams::default());
    let sign_in_limit = web::Data::new(SignInLimit::new());
    let large_bodies = web::Data::new(LargeBodies::new());
    let readiness = web::Data::new(ReadinessCheck::new());
    let app = move || {
        ActixApp::new()
            .app_data(web::Data::new(db.clone()))
            .app_data(config.clone())
            .app_data(cookies.clone())
            .app_data(proxies.clone())
            .app_data(store.clone())
            .app_data(feed.clone())
            .app_data(digests.clone())
            .app_data(row_counter.clone())
            .app_data(streams.clone())
            .app_data(live.clone())
            .app_data(imports.clone())
            .app_data(large_bodies.clone())
            .app_data(readiness.clone())
            .app_data(web::PayloadConfig::new(request_body::MAX_FORM_BYTES))
            .app_data(web::FormConfig::default().limit(request_body::MAX_FORM_BYTES))
            .app_data(sign_in_limit.clone())
            .app_data(sent_forms.clone())
            .app_data(watched_streams.clone())
            .configure(routes::configure)
            .default_service(web::to(error::not_found))
            // The last one wrapped sees a request first.
            .wrap(from_fn(once::once))
            .wrap(from_fn(watched_streams::end_with_access))
            .wrap(from_fn(guard_forms))
            .wrap(from_fn(error_pages::error_pages))
            .wrap(from_fn(csrf::keep_token))
            .wrap(from_fn(error_pages::unknown_sender))
            .wrap(session::middleware(db.clone(), secure))
            .wrap(from_fn(session::read_account_along))
            .wrap(from_fn(error_pages::last_resort))
            .wrap(Compress::default())
            .wrap(from_fn(prefetch::refuse_guesses))
            .wrap(from_fn(security_headers::security_headers))
            .wrap(from_fn(head_without_stream))
            .wrap(from_fn(connection::refuse_tunnels))
            .wrap(from_fn(request_log::log_requests))
            .wrap(from_fn(connection::count_answers))
    };
    listening::start(&listen, app)
}

/// Parses the Fluent files before the first request.
fn parse_texts() {
    for language in Language::ALL {
        language.text("app-name").to_string();
    }
}

/// Middleware: see [`form_guard`]; the line of a URL says what may be sent there.
async fn guard_forms(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let route = request.match_pattern();
    let kind = routes::body_kind(route.as_deref());
    let is_open = routes::is_open(route.as_deref());
    form_guard::guard_form((kind, is_open), request, next).await
}

/// Middleware: HEAD is answered as GET, but what would be streamed (a download, a run's events) is
/// not even begun. Other bodies are dropped by the server, which tells their length.
async fn head_without_stream(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let is_head = request.method() == Method::HEAD;
    let response = next.call(request).await?.map_into_boxed_body();
    if is_head && response.response().body().size() == BodySize::Stream {
        return Ok(response.map_body(|_, _| BoxBody::new(body::None::new())));
    }
    Ok(response)
}

mod listening;
#[cfg(test)]
mod tests;
