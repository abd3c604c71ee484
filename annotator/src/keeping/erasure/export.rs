//! Everything that is kept of one person, as JSON lines: what the law lets them ask for.

use crate::{
    data::texts,
    people::audit::{self, AuditAction, AuditSubject},
    work::kinds,
};
use entity::{
    account, assignment, audit_log, draft,
    ids::{AccountId, JudgementId},
    judgement, membership, project, prompt, task,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, sea_query::Query,
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    fs::File,
    io::{BufWriter, Seek, SeekFrom, Write},
};

/// Rows that are in memory at once.
const CHUNK: u64 = 500;

/// A file of lines, at its beginning: account, roles, judgements with their texts, drafts, and the
/// lines of the audit log by or about the person, sign-ins among them. It has no name and is gone
/// when it is closed. Who had it made (None: somebody at a shell) is noted. Times are milliseconds since 1970, UTC.
pub async fn of_person(
    db: &DatabaseConnection,
    account: &account::Model,
    by: Option<AccountId>,
) -> anyhow::Result<File> {
    audit::record_alone(
        db,
        by,
        AuditAction::AccountExport,
        AuditSubject::of_all(account.id),
        json!({}),
    )
    .await?;
    let mut file = BufWriter::new(tempfile::tempfile()?);
    line(
        &mut file,
        "account",
        json!({
            "id": account.id, "login": account.login, "name": account.display_name,
            "is_administrator": account.is_admin, "language": account.language,
            "created_at": account.created_at, "disabled_at": account.disabled_at,
        }),
    )?;
    roles(db, account.id, &mut file).await?;
    judgements(db, account.id, &mut file).await?;
    drafts(db, account.id, &mut file).await?;
    audit_lines(db, account.id, &mut file).await?;
    let mut file = file.into_inner()?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

fn line(file: &mut impl Write, what: &str, fields: Value) -> anyhow::Result<()> {
    let mut line = json!({"what": what});
    if let (Some(line), Value::Object(fields)) = (line.as_object_mut(), fields) {
        line.extend(fields);
    }
    Ok(writeln!(file, "{line}")?)
}

async fn roles(
    db: &impl ConnectionTrait,
    id: AccountId,
    file: &mut impl Write,
) -> anyhow::Result<()> {
    let held =
        membership::Entity::find().filter(membership::Column::AccountId.eq(id)).all(db).await?;
    for membership in held {
        let project = project::Entity::find_by_id(membership.project_id).one(db).await?;
        line(
            file,
            "role",
            json!({
                "project": project.map(|project| project.name), "role": membership.role,
                "since": membership.created_at,
            }),
        )?;
    }
    Ok(())
}

async fn judgements(
    db: &impl ConnectionTrait,
    id: AccountId,
    file: &mut impl Write,
) -> anyhow::Result<()> {
    let mut last: Option<JudgementId> = None;
    loop {
        let mut query = judgement::Entity::find().filter(judgement::Column::AccountId.eq(id));
        if let Some(last) = last {
            query = query.filter(judgement::Column::Id.gt(last));
        }
        let said = query.order_by_asc(judgement::Column::Id).limit(CHUNK).all(db).await?;
        let Some(newest) = said.last() else { return Ok(()) };
        last = Some(newest.id);
        let asked = prompts_of(db, &said).await?;
        let hashes = kinds::text_hashes(said.iter().map(|said| &said.payload));
        let bodies = texts::load_all(db, hashes.chain(asked.values().cloned())).await?;
        for said in &said {
            let asked = asked.get(&said.id).and_then(|hash| bodies.get(hash));
            let text = kinds::text_hashes([&said.payload]).next();
            line(
                file,
                "judgement",
                json!({
                    "id": said.id, "task": said.task_id, "revision": said.revision, "at": said.created_at,
                    "active_ms": said.lead_time_ms, "said": said.payload,
                    "text": text.and_then(|hash| bodies.get(&hash)),
                    "prompt": asked.map(|asked| serde_json::from_str::<Value>(asked).unwrap_or_else(|_| json!(asked))),
                }),
            )?;
        }
    }
}

/// The hashes of what was asked, by judgement.
async fn prompts_of(
    db: &impl ConnectionTrait,
    said: &[judgement::Model],
) -> anyhow::Result<HashMap<JudgementId, String>> {
    let tasks = task::Entity::find()
        .filter(task::Column::Id.is_in(said.iter().map(|said| said.task_id)))
        .all(db)
        .await?;
    let prompts = prompt::Entity::find()
        .filter(prompt::Column::Id.is_in(tasks.iter().map(|task| task.prompt_id)))
        .all(db)
        .await?;
    let prompts: HashMap<_, _> =
        prompts.into_iter().map(|prompt| (prompt.id, prompt.text_hash)).collect();
    let tasks: HashMap<_, _> = tasks.into_iter().map(|task| (task.id, task.prompt_id)).collect();
    let asked = said
        .iter()
        .filter_map(|said| Some((said.id, prompts.get(tasks.get(&said.task_id)?)?.clone())));
    Ok(asked.collect())
}

async fn drafts(
    db: &impl ConnectionTrait,
    id: AccountId,
    file: &mut impl Write,
) -> anyhow::Result<()> {
    let theirs = Query::select()
        .column(assignment::Column::Id)
        .from(assignment::Entity)
        .and_where(assignment::Column::AccountId.eq(id))
        .to_owned();
    let drafts = draft::Entity::find()
        .filter(draft::Column::AssignmentId.in_subquery(theirs))
        .all(db)
        .await?;
    for draft in drafts {
        let fields = serde_json::from_str(&draft.body).unwrap_or(Value::String(draft.body));
        line(
            file,
            "draft",
            json!({
                "assignment": draft.assignment_id, "fields": fields, "at": draft.updated_at,
            }),
        )?;
    }
    Ok(())
}

async fn audit_lines(
    db: &impl ConnectionTrait,
    id: AccountId,
    file: &mut impl Write,
) -> anyhow::Result<()> {
    let by_or_about = Condition::any()
        .add(audit_log::Column::AccountId.eq(id))
        .add(audit_log::Column::Subject.eq(id.to_string()));
    let lines = audit_log::Entity::find()
        .filter(by_or_about)
        .order_by_asc(audit_log::Column::Id)
        .all(db)
        .await?;
    for each in lines {
        line(
            file,
            "audit",
            json!({
                "by": each.account_id, "action": each.action, "subject": each.subject,
                "details": each.details, "at": each.created_at,
            }),
        )?;
    }
    Ok(())
}
