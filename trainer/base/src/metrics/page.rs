//! `GET /metrics`, on a listener of its own.

use actix_web::{App, HttpResponse, HttpServer, rt::System, web};
use anyhow::{Context, anyhow};
use prometheus_client::{encoding::text, registry::Registry};
use std::{
    future::Future,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    pin::Pin,
    sync::Arc,
    thread,
    time::Duration,
};

/// What Prometheus calls the format.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Connections at once; more wait.
const MAX_CONNECTIONS: usize = 64;

/// How long a request may take to come.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is brought up to date before the numbers are written, within a bound of its own.
pub type BeforeScrape =
    Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync + 'static>;

struct MetricsPage {
    registry: Registry,
    before: Option<BeforeScrape>,
}

/// Serves the numbers at an address (HOST:PORT) until the process ends; where that is. An error
/// when nothing can listen there.
pub fn serve(
    listen: &str,
    registry: Registry,
    before: Option<BeforeScrape>,
) -> anyhow::Result<SocketAddr> {
    let cannot = || format!("cannot listen on {listen}; choose another --metrics-listen");
    let mut addresses = listen.to_socket_addrs().with_context(cannot)?;
    let address = addresses.next().ok_or_else(|| anyhow!(cannot()))?;
    let listener = TcpListener::bind(address).with_context(cannot)?;
    let address = listener.local_addr()?;
    let page = web::Data::new(MetricsPage { registry, before });
    let serve = move || {
        System::new().block_on(async {
            let app =
                move || App::new().app_data(page.clone()).route("/metrics", web::get().to(metrics));
            let server = HttpServer::new(app)
                .workers(1)
                .disable_signals()
                .max_connections(MAX_CONNECTIONS)
                .client_request_timeout(PATIENCE)
                .listen(listener);
            match server {
                Ok(server) => server.run().await,
                Err(error) => Err(error),
            }
        })
    };
    thread::Builder::new().name("metrics".into()).spawn(move || {
        if let Err(error) = serve() {
            tracing::error!(%error, "the metrics are not served any more");
        }
    })?;
    Ok(address)
}

async fn metrics(page: web::Data<MetricsPage>) -> HttpResponse {
    if let Some(before) = &page.before {
        before().await;
    }
    let mut body = String::new();
    match text::encode(&mut body, &page.registry) {
        Ok(()) => HttpResponse::Ok().content_type(CONTENT_TYPE).body(body),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}
