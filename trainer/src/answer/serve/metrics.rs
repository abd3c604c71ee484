//! The server's numbers for Prometheus.

use super::engine::EngineCounts;
use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
    web,
};
use prometheus_client::{
    collector::Collector,
    encoding::DescriptorEncoder,
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};
use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};
use trainer_base::metrics::{self, encode, http::HttpMetrics};

/// What the model's thread counts, as it is now.
#[derive(Debug)]
struct EngineMetrics(Arc<EngineCounts>);

impl Collector for EngineMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let counts = &self.0;
        let waiting = ConstGauge::new(counts.waiting.load(Ordering::Relaxed));
        let help = "Answers that wait in line";
        encode(&mut encoder, "attune_serve_queue_length", help, &waiting)?;
        for (name, help, count) in [
            (
                "attune_serve_prompt_tokens",
                "Tokens of prompts that were read",
                &counts.prompt_tokens,
            ),
            ("attune_serve_generated_tokens", "Tokens of answers that were drawn", &counts.tokens),
            ("attune_serve_answers", "Answers that were finished", &counts.answers),
            (
                "attune_serve_answers_failed",
                "Answers on which the model failed",
                &counts.failed_answers,
            ),
        ] {
            let count = ConstCounter::new(count.load(Ordering::Relaxed) as u64);
            encode(&mut encoder, name, help, &count)?;
        }
        Ok(())
    }
}

/// Serves the numbers on an address of their own; where that is.
pub(super) fn serve(
    listen: &str,
    http: &HttpMetrics,
    counts: Arc<EngineCounts>,
) -> anyhow::Result<SocketAddr> {
    let mut registry = metrics::registry();
    http.register(&mut registry);
    registry.register(
        "attune_serve_token_duration_seconds",
        "Seconds for each token of an answer",
        counts.token_durations.clone(),
    );
    registry.register_collector(Box::new(EngineMetrics(counts)));
    metrics::serve(listen, registry, None)
}

/// Middleware: counts a request.
pub(super) async fn count(
    metrics: web::ThinData<HttpMetrics>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let method = request.method().clone();
    let route = request.match_pattern();
    let started = Instant::now();
    let _in_flight = metrics.arrived();
    let answer = next.call(request).await;
    let status = match &answer {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    metrics.answered(method.as_str(), route, status.as_u16(), started.elapsed());
    answer
}
