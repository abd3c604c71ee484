//! Reading the audit log: filtered, the newest first, a page at a time, with the names that the ids
//! stand for.

use crate::people::{accounts, audit::AuditAction, person_name::PersonName};
use entity::{
    audit_log,
    ids::{AccountId, AuditLogId, ModelId, ProjectId, PromptId, RunId},
    model, project, prompt, run,
    time::UnixMillis,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use serde_json::Value;
use std::{collections::HashMap, str::FromStr};
use uuid::Uuid;

/// Which lines.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// What this person did, and what was done to their account.
    pub person: Option<AccountId>,
    pub project: Option<ProjectId>,
    pub action: Option<AuditAction>,
    pub from: Option<UnixMillis>,
    /// Lines before it.
    pub until: Option<UnixMillis>,
}

impl AuditFilter {
    fn condition(&self) -> Condition {
        let of_person = |person: AccountId| {
            Condition::any()
                .add(audit_log::Column::AccountId.eq(person))
                .add(audit_log::Column::Subject.eq(person.to_string()))
        };
        Condition::all()
            .add_option(self.person.map(of_person))
            .add_option(self.project.map(|project| audit_log::Column::ProjectId.eq(project)))
            .add_option(self.action.map(|action| audit_log::Column::Action.eq(action.code())))
            .add_option(self.from.map(|from| audit_log::Column::Id.gte(first_id_at(from))))
            .add_option(self.until.map(|until| audit_log::Column::Id.lt(first_id_at(until))))
    }
}

/// Ids begin with their time (UUIDv7), so that the primary key finds a time.
fn first_id_at(at: UnixMillis) -> AuditLogId {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&at.0.max(0).to_be_bytes()[2..]);
    AuditLogId(Uuid::from_bytes(bytes))
}

/// A line with its names.
pub struct AuditLine {
    pub id: AuditLogId,
    pub at: UnixMillis,
    /// None: the service itself, or somebody who is not signed in.
    pub who: Option<PersonName>,
    /// None: of a newer version.
    pub action: Option<AuditAction>,
    /// As stored.
    pub code: String,
    pub subject_id: String,
    pub subject: AuditedThing,
    /// Where, by id and name.
    pub project: Option<(ProjectId, String)>,
    pub details: Value,
}

/// What something was done to, as far as it has a name.
#[derive(Clone, Debug, PartialEq)]
pub enum AuditedThing {
    Account(PersonName),
    Project(String),
    Prompt(PromptId),
    Run(RunId, run::RunKind),
    Model(ModelId, String),
    /// By its hash.
    Text(String),
    Unknown,
}

/// The newest `limit` lines, or those before one.
pub async fn lines(
    db: &impl ConnectionTrait,
    filter: &AuditFilter,
    before: Option<AuditLogId>,
    limit: u64,
) -> Result<Vec<AuditLine>, DbErr> {
    let rows = audit_log::Entity::find()
        .filter(filter.condition())
        .filter(Condition::all().add_option(before.map(|before| audit_log::Column::Id.lt(before))))
        .order_by_desc(audit_log::Column::Id)
        .limit(limit)
        .all(db)
        .await?;
    let names = KnownNames::of(db, &rows).await?;
    Ok(rows.into_iter().map(|row| names.line(row)).collect())
}

/// The names of everything in some lines, with one question per table.
struct KnownNames {
    people: HashMap<AccountId, PersonName>,
    projects: HashMap<ProjectId, String>,
    runs: HashMap<RunId, run::RunKind>,
    models: HashMap<ModelId, String>,
    prompts: Vec<PromptId>,
}

fn subjects<T: FromStr>(rows: &[audit_log::Model]) -> impl Iterator<Item = T> {
    rows.iter().filter_map(|row| row.subject.parse().ok())
}

impl KnownNames {
    async fn of(db: &impl ConnectionTrait, rows: &[audit_log::Model]) -> Result<Self, DbErr> {
        let people = rows.iter().filter_map(|row| row.account_id).chain(subjects(rows));
        let people = accounts::names(db, people).await?;
        let projects = rows.iter().filter_map(|row| row.project_id).chain(subjects(rows));
        let projects =
            project::Entity::find().filter(project::Column::Id.is_in(projects)).all(db).await?;
        let runs: Vec<(RunId, run::RunKind)> = run::Entity::find()
            .select_only()
            .columns([run::Column::Id, run::Column::Kind])
            .filter(run::Column::Id.is_in(subjects::<RunId>(rows)))
            .into_tuple()
            .all(db)
            .await?;
        let models = model::Entity::find()
            .filter(model::Column::Id.is_in(subjects::<ModelId>(rows)))
            .all(db)
            .await?;
        let prompts = prompt::Entity::find()
            .select_only()
            .column(prompt::Column::Id)
            .filter(prompt::Column::Id.is_in(subjects::<PromptId>(rows)))
            .into_tuple()
            .all(db)
            .await?;
        Ok(Self {
            people,
            projects: projects.into_iter().map(|one| (one.id, one.name)).collect(),
            runs: runs.into_iter().collect(),
            models: models.into_iter().map(|one| (one.id, one.name)).collect(),
            prompts,
        })
    }

    /// Ids of all tables differ, so that an id tells by itself what it is of.
    fn thing(&self, id: &str) -> AuditedThing {
        let Ok(id) = id.parse::<Uuid>() else {
            let is_hash = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
            return if is_hash { AuditedThing::Text(id.to_owned()) } else { AuditedThing::Unknown };
        };
        let (run, model, prompt) = (RunId(id), ModelId(id), PromptId(id));
        if let Some(name) = self.people.get(&AccountId(id)) {
            AuditedThing::Account(name.clone())
        } else if let Some(name) = self.projects.get(&ProjectId(id)) {
            AuditedThing::Project(name.clone())
        } else if let Some(kind) = self.runs.get(&run) {
            AuditedThing::Run(run, *kind)
        } else if let Some(name) = self.models.get(&model) {
            AuditedThing::Model(model, name.clone())
        } else if self.prompts.contains(&prompt) {
            AuditedThing::Prompt(prompt)
        } else {
            AuditedThing::Unknown
        }
    }

    fn line(&self, row: audit_log::Model) -> AuditLine {
        let named = |id: ProjectId| Some((id, self.projects.get(&id)?.clone()));
        AuditLine {
            id: row.id,
            at: row.created_at,
            who: row.account_id.and_then(|id| self.people.get(&id).cloned()),
            action: AuditAction::of(&row.action),
            code: row.action,
            subject: self.thing(&row.subject),
            subject_id: row.subject,
            project: row.project_id.and_then(named),
            details: row.details,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_a_moment_is_not_before_the_first_of_it() {
        let before = UnixMillis::now();
        let id = AuditLogId::new();
        assert!(first_id_at(before) <= id);
        assert!(first_id_at(UnixMillis(before.0 + 60_000)) > id);
    }
}
