//! Times are whole milliseconds since 1970, UTC, in a 64-bit integer on both databases: as text
//! they would compare wrongly on SQLite.

use sea_orm::DeriveValueType;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    DeriveValueType,
)]
#[serde(transparent)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    pub fn now() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(since_epoch.as_millis() as i64)
    }

    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0 + duration.as_millis() as i64)
    }

    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0 - duration.as_millis() as i64)
    }
}
