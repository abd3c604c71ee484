//! The web app's numbers for Prometheus: what it has done, counted where it is done, and how much
//! there is now ([`figures`]), which is looked up when somebody asks, within bounds.

mod figures;

use crate::config::ListenAddress;
use entity::{import::ImportState, task::TaskKind};
use figures::Figures;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use sea_orm::{ActiveEnum, DatabaseConnection};
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, LazyLock},
};
use trainer_base::metrics::{self, database::DatabaseMetrics, http::HttpMetrics};

/// What this process counts, whether anybody asks for it or not.
#[derive(Debug, Default)]
pub struct WebMetrics {
    pub http: HttpMetrics,
    sign_ins: Family<ResultLabel, Counter>,
    claims: Family<TaskLabels, Counter>,
    submits: Family<TaskLabels, Counter>,
    imports: Family<StateLabel, Counter>,
    pub open_streams: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TaskLabels {
    kind: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: String,
}

/// How a try to sign in ended.
#[derive(Clone, Copy, Debug)]
pub enum SignInResult {
    Accepted,
    /// The login or the password was another.
    Refused,
    /// The one-time password's time was over.
    Lapsed,
    /// Too many tries before it.
    Limited,
}

/// What came of a task's form.
#[derive(Clone, Copy, Debug)]
pub enum SubmitResult {
    Answered,
    Skipped,
    /// Something was missing in the form.
    Invalid,
    /// Another window had stored something newer.
    Overtaken,
}

static METRICS: LazyLock<WebMetrics> = LazyLock::new(WebMetrics::default);

/// Of this process.
pub fn metrics() -> &'static WebMetrics {
    &METRICS
}

impl WebMetrics {
    pub fn signed_in(&self, result: SignInResult) {
        let result = match result {
            SignInResult::Accepted => "accepted",
            SignInResult::Refused => "refused",
            SignInResult::Lapsed => "lapsed",
            SignInResult::Limited => "limited",
        };
        self.sign_ins.get_or_create(&ResultLabel { result }).inc();
    }

    /// Somebody asked for a task, and was given one or not.
    pub fn claimed(&self, kind: TaskKind, is_given: bool) {
        let result = if is_given { "given" } else { "none_left" };
        self.claims.get_or_create(&TaskLabels { kind: kind.to_value(), result }).inc();
    }

    pub fn submitted(&self, kind: TaskKind, result: SubmitResult) {
        let result = match result {
            SubmitResult::Answered => "answered",
            SubmitResult::Skipped => "skipped",
            SubmitResult::Invalid => "invalid",
            SubmitResult::Overtaken => "overtaken",
        };
        self.submits.get_or_create(&TaskLabels { kind: kind.to_value(), result }).inc();
    }

    pub fn import_ended(&self, state: ImportState) {
        self.imports.get_or_create(&StateLabel { state: state.to_value() }).inc();
    }

    /// Serves the numbers on an address of their own; where that is.
    pub fn serve(
        &self,
        listen: &ListenAddress,
        db: &DatabaseConnection,
        folders: [(&'static str, PathBuf); 2],
    ) -> anyhow::Result<SocketAddr> {
        let mut registry = metrics::registry();
        self.http.register(&mut registry);
        registry.register("attune_sign_ins", "Tries to sign in", self.sign_ins.clone());
        registry.register("attune_claims", "Requests for a task", self.claims.clone());
        registry.register("attune_submits", "Forms of tasks that were sent", self.submits.clone());
        registry.register("attune_imports", "Imports that have ended", self.imports.clone());
        registry.register(
            "attune_open_streams",
            "Answers that are being streamed: runs' events, chats, downloads",
            self.open_streams.clone(),
        );
        registry.register_collector(Box::new(DatabaseMetrics { db: db.clone() }));
        let figures = Arc::new(Figures::new(db.clone(), folders));
        registry.register_collector(Box::new(figures.clone()));
        metrics::serve(&listen.to_string(), registry, Some(figures.before_scrape()))
    }
}
