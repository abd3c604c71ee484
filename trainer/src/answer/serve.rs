//! Live answers over HTTP, as OpenAI's chat API gives them: `/v1/chat/completions` (streamed or
//! not), `/v1/models`, `/health`.
//!
//! One thread owns the model and answers one request after the other; the others wait in line. A
//! client that goes away stops its answer at the next token.

use actix_web::{App, HttpServer, middleware::from_fn, web};
use anyhow::{Context, Result, ensure};
use engine::AnswerEngine;
use entity::message;
use serde_json::json;
use std::{io::Write, net::SocketAddr, path::Path, sync::Arc};
use trainer_base::{
    metrics::http::HttpMetrics,
    model_config::{ModelConfig, ModelPurpose},
    settings::ServeArgs,
    tokenizer::Tokenizer,
};

mod engine;
mod http;
mod metrics;
mod not_there;
mod protocol;
mod text;

/// What every handler knows.
struct ServerState {
    name: String,
    api_key: Option<String>,
    tokenizer: Arc<Tokenizer>,
    /// Tokens that the model reads, prompt and answer together.
    context: usize,
    engine: AnswerEngine,
    started: u64,
}

/// Loads the model, listens, and serves until the program is told to end.
pub fn run(args: &ServeArgs) -> Result<()> {
    let config = ModelConfig::read(&args.model)?;
    ensure!(
        config.purpose == ModelPurpose::Language,
        message!(
            "serve-reward-model",
            "{folder} holds a reward model: it scores answers (`trainer score`) and cannot write any",
            folder = args.model.display()
        )
    );
    let tokenizer = Arc::new(Tokenizer::load(&args.model)?);
    let engine = AnswerEngine::start(args, Arc::clone(&tokenizer))?;
    let state = ServerState {
        name: args.name.clone().unwrap_or_else(|| name_of(&args.model)),
        api_key: args.api_key.clone(),
        tokenizer,
        context: config.max_positions as usize,
        engine,
        started: http::now(),
    };
    let http = HttpMetrics::default();
    if let Some(listen) = &args.metrics_listen {
        let address = metrics::serve(listen, &http, state.engine.counts())?;
        eprintln!("metrics are on http://{address}/metrics");
    }
    actix_web::rt::System::new().block_on(serve(args.listen, state, http))
}

async fn serve(listen: SocketAddr, state: ServerState, http: HttpMetrics) -> Result<()> {
    let name = state.name.clone();
    let state = web::Data::new(state);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .app_data(web::ThinData(http.clone()))
            .wrap(from_fn(metrics::count))
            .app_data(web::PayloadConfig::new(http::MAX_BODY_BYTES))
            .configure(http::routes)
    })
    .workers(2)
    // A client that hangs up is gone, and its answer is not waited for.
    .h1_allow_half_closed(false)
    .shutdown_timeout(1)
    .bind(listen)
    .with_context(|| format!("cannot listen on {listen}; choose another --listen"))?;
    let address = *server.addrs().first().context("the server has no address")?;
    let url = format!("http://{address}");
    eprintln!("{name} answers on {url}/v1/chat/completions; Ctrl-C ends it");
    let mut stdout = std::io::stdout().lock();
    // Whoever started it may not read this.
    let _ = writeln!(stdout, "{}", json!({ "listening": url, "model": name }));
    drop(stdout);
    server.run().await.context("the server failed")
}

/// The folder's own name, without a path.
fn name_of(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    folder.file_name().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into())
}
