//! One newtype per kind of row, so that a run's id cannot be passed where a model's is meant.

use sea_orm::{DbErr, DeriveValueType, TryFromU64};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, DeriveValueType)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A fresh UUIDv7: ids sort by the time they were made.
            #[expect(clippy::new_without_default, reason = "a fresh id is not a default")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The last eight digits, which are random: for names and headings.
            pub fn short(&self) -> String {
                let digits = self.0.simple().to_string();
                digits[digits.len() - 8..].to_owned()
            }
        }

        impl TryFromU64 for $name {
            fn try_from_u64(_: u64) -> Result<Self, DbErr> {
                Err(DbErr::ConvertFromU64(stringify!($name)))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                s.parse().map(Self)
            }
        }
    )*};
}

ids! {
    AccountId,
    AssignmentId,
    AuditLogId,
    CompletionId,
    DatasetVersionId,
    ErasureId,
    ImportId,
    JudgementId,
    MembershipId,
    ModelId,
    ProjectId,
    PromptId,
    RunId,
    TaskId,
}
