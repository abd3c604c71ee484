//! The database's side of the artifact store: what is in it, and how large it is.

use entity::{artifact, time::UnixMillis};
use sea_orm::{ActiveValue::Set, ConnectionTrait, DbErr, EntityTrait, sea_query::OnConflict};
use storage::artifact_store::StoredFolder;

/// Notes that a folder is in the store; noting it twice is noting it once.
pub async fn record(db: &impl ConnectionTrait, stored: &StoredFolder) -> Result<(), DbErr> {
    let row = artifact::ActiveModel {
        hash: Set(stored.hash.clone()),
        n_bytes: Set(stored.n_bytes as i64),
        created_at: Set(UnixMillis::now()),
        erased_at: Set(None),
    };
    let known = OnConflict::column(artifact::Column::Hash).do_nothing().to_owned();
    artifact::Entity::insert(row).on_conflict(known).exec_without_returning(db).await?;
    Ok(())
}
