//! The rows of imports: whether one is still wanted, how one ends.

use crate::{
    data::import::{check::FileCheck, import_details, spool::ImportSpool},
    metrics::metrics,
    people::{
        audit::{self, AuditAction, AuditSubject},
        projects,
    },
};
use entity::{
    ids::ImportId,
    import::{self, ImportState, RefusedLines},
    message,
    message::KeyedMessage,
    time::UnixMillis,
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, UpdateMany, sea_query::Expr,
};
use serde_json::json;
use storage::database::write;
use tokio::sync::watch;

/// Their rows, and their files.
pub struct ImportRecords {
    pub db: DatabaseConnection,
    pub spool: ImportSpool,
    /// Counts those that have ended.
    pub ended: watch::Sender<u64>,
}

/// An import that goes on only while it is wanted: not ended, not to be stopped, its project there.
pub fn wanted(id: ImportId) -> UpdateMany<import::Entity> {
    import::Entity::update_many()
        .filter(import::Column::Id.eq(id))
        .filter(import::Column::FinishedAt.is_null())
        .filter(import::Column::CancelRequested.eq(false))
        .filter(import::Column::ProjectId.not_in_subquery(projects::deleted()))
        .col_expr(import::Column::UpdatedAt, Expr::value(UnixMillis::now()))
}

impl ImportRecords {
    /// Ends an import whose file is not there.
    pub async fn give_up(&self, import: &import::Model) -> Result<(), DbErr> {
        if import.cancel_requested {
            return self.end(import.id, ImportState::Cancelled, None, None).await;
        }
        let why = message!(
            "import-file-lost",
            "the service was stopped, and the file is no longer there; send it again"
        );
        self.end(import.id, ImportState::Failed, Some(why), None).await
    }

    /// Those that have not ended, the oldest first.
    pub async fn under_way(&self) -> Result<Vec<import::Model>, DbErr> {
        import::Entity::find()
            .filter(import::Column::FinishedAt.is_null())
            .order_by_asc(import::Column::CreatedAt)
            .limit(1000)
            .all(&self.db)
            .await
    }

    /// Ends an import, with a line in the audit log if it has changed anything; then its file goes.
    pub async fn end(
        &self,
        id: ImportId,
        state: ImportState,
        why: Option<KeyedMessage>,
        check: Option<&FileCheck>,
    ) -> Result<(), DbErr> {
        let reason = &why.map(|why| json!(why));
        write(&self.db, |turn| async move {
            let now = UnixMillis::now();
            let mut ended = import::ActiveModel {
                state: Set(state),
                reason: Set(reason.clone()),
                updated_at: Set(now),
                finished_at: Set(Some(now)),
                ..Default::default()
            };
            if let Some(check) = check {
                tell(&mut ended, check);
            }
            let ended = import::Entity::update_many()
                .set(ended)
                .filter(import::Column::Id.eq(id))
                .filter(import::Column::FinishedAt.is_null())
                .exec(&*turn)
                .await?;
            let import = import::Entity::find_by_id(id).one(&*turn).await?;
            if let Some(import) = import.filter(|row| row.n_done > 0 && ended.rows_affected == 1) {
                let mut details = import_details(&import.counts);
                details["import"] = json!(id);
                let (by, subject) = (import.created_by, AuditSubject::project(import.project_id));
                audit::record(&*turn, by, AuditAction::PromptImport, subject, details).await?;
            }
            Ok::<_, DbErr>(())
        })
        .await?;
        metrics().import_ended(state);
        self.spool.remove(id);
        self.ended.send_modify(|n| *n += 1);
        Ok(())
    }
}

/// What was found in the file, for its row.
pub fn tell(row: &mut import::ActiveModel, check: &FileCheck) {
    row.n_lines = Set(check.n_lines as i64);
    row.n_rows = Set(check.n_rows as i64);
    row.n_refused = Set(check.n_refused as i64);
    row.refused = Set(RefusedLines(check.refused.clone()));
}
