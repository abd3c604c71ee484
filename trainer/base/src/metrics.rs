//! Numbers for Prometheus, of each of the programs. They are served where the operator says and
//! nowhere else, by a thread of their own, so that a program that is busy still tells how it is.
//!
//! [`http`] counts requests, [`process`] and [`database`] are read when somebody asks.
//!
//! **Invariant:** labels come from the program (a route's pattern, a kind, a result), never from what
//! somebody sends: whoever sends odd requests makes no new series.

pub mod database;
pub mod http;
pub mod process;

mod page;

pub use page::{BeforeScrape, serve};

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric},
    registry::Registry,
};
use std::fmt;

/// A registry with what every program tells: of its process, and which version it is.
pub fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(process::ProcessMetrics::new()));
    registry.register(
        "attune_build",
        "The version of the program",
        prometheus_client::metrics::info::Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
    );
    registry
}

/// Writes a number that is read when somebody asks for it.
pub fn encode(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> fmt::Result {
    let place = encoder.encode_descriptor(name, &format!("{help}."), None, metric.metric_type())?;
    metric.encode(place)
}
