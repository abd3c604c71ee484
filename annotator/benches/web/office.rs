//! A project with many open tasks and a thousand people who are signed in, written straight into the
//! database.

use actix_web::cookie::{Cookie, CookieJar};
use annotator::{config::StorageConfig, database, people::projects, web::session};
use entity::{
    account,
    hash::sha256_hex,
    ids::{AccountId, ProjectId},
    membership::{self, ProjectRole},
    time::UnixMillis,
};
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DatabaseConnection, DbBackend, EntityTrait, Statement,
};
use serde_json::json;
use std::{path::Path, time::Duration};
use storage::database::row_chunks;

/// How many people there are.
pub(crate) const N_PEOPLE: usize = 1000;

pub(crate) struct BenchOffice {
    pub(crate) db: DatabaseConnection,
    pub(crate) project: ProjectId,
    /// What each person's browser sends.
    pub(crate) cookies: Vec<String>,
}

/// Makes the tables, the project with `size` open slots and the people.
pub(crate) async fn furnish(folder: &Path, url: &str, size: u64) -> anyhow::Result<BenchOffice> {
    let storage = StorageConfig {
        data_dir: folder.to_owned(),
        database_url: Some(url.to_owned()),
        artifacts: None,
        no_migration_copy: false,
    };
    let db = database::open(&storage).await?;
    let guidelines = projects::FIRST_GUIDELINES;
    let project = projects::create(&db, "Under load", guidelines).await?.id;
    let is_postgres = db.get_database_backend() == DbBackend::Postgres;
    for sql in if is_postgres { on_postgres() } else { on_sqlite() } {
        let values = [project.into(), size.cast_signed().into(), UnixMillis::now().0.into()];
        let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
        db.execute_raw(statement).await?;
    }
    let cookies = people(&db, project).await?;
    let sql = if is_postgres { "VACUUM ANALYZE" } else { "PRAGMA wal_checkpoint(TRUNCATE)" };
    db.execute_unprepared(sql).await?;
    Ok(BenchOffice { db, project, cookies })
}

/// Texts, prompts and tasks numbered from 1; ids rise with the number, as those of UUID version 7 do
/// with time.
fn on_sqlite() -> [&'static str; 3] {
    [
        "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < $2)
         INSERT INTO text (hash, body, created_at)
         SELECT printf('%064x', n), '[{\"role\":\"user\",\"content\":\"Say in a few sentences what number '
             || n || ' is good for, **for a child** of six, and give one example.\"}]', $3 FROM number
         WHERE $1 IS NOT NULL",
        "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < $2)
         INSERT INTO prompt (id, project_id, text_hash, created_at)
         SELECT unhex(printf('0190000000007000%016x', n)), $1, printf('%064x', n), $3 FROM number",
        "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < $2)
         INSERT INTO task (id, project_id, prompt_id, kind, overlap, open_slots, origin, created_at)
         SELECT unhex(printf('0190000000017000%016x', n)), $1,
             unhex(printf('0190000000007000%016x', n)), 'demonstrate', 1, 1, 'bench:' || n, $3
         FROM number",
    ]
}

fn on_postgres() -> [&'static str; 3] {
    [
        "INSERT INTO text (hash, body, created_at)
         SELECT lpad(to_hex(n), 64, '0'), '[{\"role\":\"user\",\"content\":\"Say in a few sentences what number '
             || n || ' is good for, **for a child** of six, and give one example.\"}]', $3
         FROM generate_series(1, $2::bigint) AS n WHERE $1::uuid IS NOT NULL",
        "INSERT INTO prompt (id, project_id, text_hash, created_at)
         SELECT ('0190000000007000' || lpad(to_hex(n), 16, '0'))::uuid, $1, lpad(to_hex(n), 64, '0'), $3
         FROM generate_series(1, $2::bigint) AS n",
        "INSERT INTO task (id, project_id, prompt_id, kind, overlap, open_slots, origin, created_at)
         SELECT ('0190000000017000' || lpad(to_hex(n), 16, '0'))::uuid, $1,
             ('0190000000007000' || lpad(to_hex(n), 16, '0'))::uuid, 'demonstrate', 1, 1, 'bench:' || n, $3
         FROM generate_series(1, $2::bigint) AS n",
    ]
}

/// Annotators of the project, with a session each; their cookies.
async fn people(db: &DatabaseConnection, project: ProjectId) -> anyhow::Result<Vec<String>> {
    let now = UnixMillis::now();
    let (mut accounts, mut memberships, mut sessions, mut cookies) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for n in 0..N_PEOPLE {
        let id = AccountId::new();
        let text = |text: &str| format!("{text}{n}");
        accounts.push(account::ActiveModel {
            id: Set(id),
            login: Set(text("person")),
            display_name: Set(text("Person ")),
            password_hash: Set("none".to_owned()),
            password_is_one_time: Set(false),
            is_admin: Set(false),
            language: Set(None),
            created_at: Set(now),
            ..Default::default()
        });
        memberships.push(membership::ActiveModel {
            id: Set(entity::ids::MembershipId::new()),
            account_id: Set(id),
            project_id: Set(project),
            role: Set(ProjectRole::Annotator),
            created_at: Set(now),
        });
        let key = format!("{n:064}");
        sessions.push(entity::session::ActiveModel {
            key_hash: Set(sha256_hex(&key)),
            account_id: Set(Some(id)),
            state: Set(
                json!({ "account": json!(id).to_string(), "prolonged": json!(now).to_string() })
                    .to_string(),
            ),
            expires_at: Set(now.plus(Duration::from_secs(86_400))),
        });
        let mut jar = CookieJar::new();
        jar.signed_mut(&session::signing_key()).add(Cookie::new(session::COOKIE, key));
        let signed = jar.get(session::COOKIE).expect("just added");
        cookies.push(signed.encoded().stripped().to_string());
    }
    for rows in row_chunks(accounts) {
        account::Entity::insert_many(rows).exec_without_returning(db).await?;
    }
    for rows in row_chunks(memberships) {
        membership::Entity::insert_many(rows).exec_without_returning(db).await?;
    }
    for rows in row_chunks(sessions) {
        entity::session::Entity::insert_many(rows).exec_without_returning(db).await?;
    }
    Ok(cookies)
}
