//! Where texts are used that are erased. Asked of the database in one question each, however many
//! rows there are: nothing here lists ids in a statement.

use crate::data::lineage;
use entity::{
    completion, dataset_version, dataset_version_item,
    erasure::{self, ErasureKind},
    ids::{AccountId, ModelId, ProjectId, TaskId},
    judgement, model, prompt, run, run_input, task, task_completion,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::{Expr, ExprTrait, Query, SelectStatement, SimpleExpr},
};
use std::collections::{BTreeSet, HashMap};
use storage::lookup::find_among;

/// The fields of what was said in which a text's hash may stand.
const SAID: [&str; 3] = ["text_hash", "rationale_hash", "note_hash"];

/// Whose uses are asked for.
#[derive(Clone, Copy)]
pub(super) enum WhichTexts<'a> {
    /// The text of this hash.
    One(&'a str),
    /// Every text of whose erasure something is left to do.
    Unfinished,
}

impl WhichTexts<'_> {
    pub(super) fn is(self, column: impl ColumnTrait) -> SimpleExpr {
        match self {
            Self::One(hash) => column.eq(hash),
            Self::Unfinished => column.in_subquery(unfinished()),
        }
    }

    fn is_said(self, backend: DbBackend) -> SimpleExpr {
        let is_postgres = backend == DbBackend::Postgres;
        match self {
            Self::One(hash) if is_postgres => {
                Expr::cust_with_values("position($1 in payload::text) > 0", [hash])
            }
            Self::One(hash) => Expr::cust_with_values("instr(payload, ?) > 0", [hash]),
            Self::Unfinished => {
                let said = SAID.map(|field| match is_postgres {
                    true => Expr::cust(format!("payload->>'{field}'")),
                    false => Expr::cust(format!("json_extract(payload, '$.{field}')")),
                });
                let said = said.into_iter().map(|said| said.in_subquery(unfinished()));
                said.reduce(ExprTrait::or).expect("there are fields")
            }
        }
    }

    fn prompts(self) -> SelectStatement {
        Query::select()
            .column(prompt::Column::Id)
            .from(prompt::Entity)
            .and_where(self.is(prompt::Column::TextHash))
            .to_owned()
    }

    /// A column of the judgements that say it.
    pub(super) fn judgements(
        self,
        backend: DbBackend,
        column: judgement::Column,
    ) -> SelectStatement {
        Query::select()
            .column(column)
            .from(judgement::Entity)
            .and_where(self.is_said(backend))
            .to_owned()
    }

    /// The tasks that show it as an answer.
    fn tasks_of_answer(self) -> SelectStatement {
        let answers = Query::select()
            .column(completion::Column::Id)
            .from(completion::Entity)
            .and_where(self.is(completion::Column::TextHash))
            .to_owned();
        Query::select()
            .column(task_completion::Column::TaskId)
            .from(task_completion::Entity)
            .and_where(task_completion::Column::CompletionId.in_subquery(answers))
            .to_owned()
    }

    /// The tasks that show it, as their prompt or as an answer.
    pub(super) async fn tasks(self, db: &impl ConnectionTrait) -> Result<Vec<TaskId>, DbErr> {
        let shows_it = Condition::any()
            .add(task::Column::PromptId.in_subquery(self.prompts()))
            .add(task::Column::Id.in_subquery(self.tasks_of_answer()));
        let ids = task::Entity::find().select_only().column(task::Column::Id).filter(shows_it);
        ids.order_by_asc(task::Column::Id).into_tuple().all(db).await
    }

    /// The judgements of tasks that showed it as an answer.
    fn judgements_of_answer(self) -> SelectStatement {
        Query::select()
            .column(judgement::Column::Id)
            .from(judgement::Entity)
            .and_where(judgement::Column::TaskId.in_subquery(self.tasks_of_answer()))
            .to_owned()
    }

    /// The dataset versions that hold a row with it, by their ids.
    fn versions(self, backend: DbBackend) -> SelectStatement {
        use dataset_version_item::Column;
        let said = self.judgements(backend, judgement::Column::Id);
        let holds = Condition::any()
            .add(Column::PromptId.in_subquery(self.prompts()))
            .add(Column::JudgementId.in_subquery(said))
            .add(Column::JudgementId.in_subquery(self.judgements_of_answer()));
        Query::select()
            .column(Column::DatasetVersionId)
            .from(dataset_version_item::Entity)
            .cond_where(holds)
            .to_owned()
    }

    /// Their hashes, which are those of their files.
    pub(super) fn version_hashes(self, backend: DbBackend) -> SelectStatement {
        Query::select()
            .column(dataset_version::Column::Hash)
            .from(dataset_version::Entity)
            .and_where(dataset_version::Column::Id.in_subquery(self.versions(backend)))
            .to_owned()
    }

    /// The runs that read those versions.
    pub(super) fn readers(self, backend: DbBackend) -> SelectStatement {
        readers(self.versions(backend))
    }

    /// A run whose file of answers holds it, since they were to prompts with it, or were it.
    fn has_sampled(self, backend: DbBackend) -> Condition {
        let has_it = Condition::any()
            .add(self.is(completion::Column::TextHash))
            .add(completion::Column::PromptId.in_subquery(self.prompts()));
        let wrote_it = Query::select()
            .column(completion::Column::RunId)
            .from(completion::Entity)
            .and_where(completion::Column::RunId.is_not_null())
            .cond_where(has_it)
            .to_owned();
        let wrote_or_read = Condition::any()
            .add(run::Column::Id.in_subquery(wrote_it))
            .add(run::Column::Id.in_subquery(self.readers(backend)));
        Condition::all()
            .add(run::Column::OutputHash.is_not_null())
            .add(run::Column::OutputModelId.is_null())
            .add(wrote_or_read)
    }

    /// A column of those runs.
    pub(super) fn samples(self, backend: DbBackend, column: run::Column) -> SelectStatement {
        Query::select()
            .column(column)
            .from(run::Entity)
            .cond_where(self.has_sampled(backend))
            .to_owned()
    }
}

/// The runs that read some versions, which are given by their ids.
pub(super) fn readers(versions: SelectStatement) -> SelectStatement {
    Query::select()
        .column(run_input::Column::RunId)
        .from(run_input::Entity)
        .and_where(run_input::Column::DatasetVersionId.in_subquery(versions))
        .to_owned()
}

fn unfinished() -> SelectStatement {
    Query::select()
        .column(erasure::Column::Subject)
        .from(erasure::Entity)
        .and_where(erasure::Column::Kind.eq(ErasureKind::Text))
        .and_where(erasure::Column::FinishedAt.is_null())
        .to_owned()
}

/// Of each use, how many are named; the others are counted.
const NAMED: u64 = 100;

/// How many there are, and the first of them.
pub struct UseList<T> {
    pub n: usize,
    pub named: Vec<T>,
}

impl<T> UseList<T> {
    fn of(mut all: Vec<T>) -> Self {
        let n = all.len();
        all.truncate(NAMED as usize);
        Self { n, named: all }
    }

    /// Whether there are more than are named.
    pub fn goes_on(&self) -> bool {
        self.named.len() < self.n
    }
}

/// Where a text is used: all of it stays, without the words.
pub struct TextUses {
    pub prompts: UseList<prompt::Model>,
    /// With the project of its task.
    pub judgements: UseList<(judgement::Model, task::Model)>,
    /// How many answers of models are it.
    pub n_completions: u64,
    /// Dataset versions that hold a row with it: nothing can be trained on them any more.
    pub versions: UseList<dataset_version::Model>,
    /// Sample runs whose answers were to prompts with it, or were it.
    pub samples: UseList<run::Model>,
    /// Models that learnt from those versions, and theirs in turn: they stay.
    pub models: UseList<model::Model>,
}

impl TextUses {
    pub async fn of(db: &impl ConnectionTrait, hash: &str) -> anyhow::Result<Self> {
        let (which, backend) = (WhichTexts::One(hash), db.get_database_backend());
        let prompts = prompt::Entity::find()
            .filter(which.is(prompt::Column::TextHash))
            .order_by_asc(prompt::Column::Id);
        let said = judgement::Entity::find()
            .filter(which.is_said(backend))
            .order_by_asc(judgement::Column::Id);
        let completions = completion::Entity::find().filter(which.is(completion::Column::TextHash));
        let versions = dataset_version::Entity::find()
            .filter(dataset_version::Column::Id.in_subquery(which.versions(backend)))
            .filter(dataset_version::Column::FillingSince.is_null())
            .order_by_desc(dataset_version::Column::CreatedAt)
            .all(db)
            .await?;
        let samples =
            run::Entity::find().filter(which.has_sampled(backend)).order_by_asc(run::Column::Id);
        let models = learnt(db, &versions).await?;
        let UseList { n, named } = counted(db, said).await?;
        Ok(Self {
            prompts: counted(db, prompts).await?,
            judgements: UseList { n, named: with_tasks(db, named).await? },
            n_completions: completions.count(db).await?,
            versions: UseList::of(versions),
            samples: counted(db, samples).await?,
            models: UseList::of(models),
        })
    }
}

async fn counted<E>(db: &impl ConnectionTrait, query: Select<E>) -> Result<UseList<E::Model>, DbErr>
where
    E: EntityTrait,
    E::Model: Send + Sync,
{
    let named = query.clone().limit(NAMED).all(db).await?;
    let n = match (named.len() as u64) < NAMED {
        true => named.len(),
        false => query.count(db).await? as usize,
    };
    Ok(UseList { n, named })
}

/// Whether anybody but this person said a text.
pub(super) async fn is_said_by_others(
    db: &impl ConnectionTrait,
    hash: &str,
    person: AccountId,
) -> Result<bool, DbErr> {
    let others = Condition::any()
        .add(judgement::Column::AccountId.ne(person))
        .add(judgement::Column::AccountId.is_null());
    let said = WhichTexts::One(hash).is_said(db.get_database_backend());
    Ok(judgement::Entity::find().filter(said).filter(others).one(db).await?.is_some())
}

async fn with_tasks(
    db: &impl ConnectionTrait,
    said: Vec<judgement::Model>,
) -> Result<Vec<(judgement::Model, task::Model)>, DbErr> {
    let ids = said.iter().map(|said| said.task_id);
    let tasks = find_among(db, task::Entity::find(), task::Column::Id, ids).await?;
    let tasks: HashMap<TaskId, task::Model> =
        tasks.into_iter().map(|task| (task.id, task)).collect();
    let with_task = |said: judgement::Model| {
        let task = tasks.get(&said.task_id)?.clone();
        Some((said, task))
    };
    Ok(said.into_iter().filter_map(with_task).collect())
}

async fn learnt(
    db: &impl ConnectionTrait,
    versions: &[dataset_version::Model],
) -> Result<Vec<model::Model>, DbErr> {
    let uses = lineage::uses(db, versions.iter().map(|version| version.id)).await?;
    let mut models: Vec<_> = uses.iter().filter_map(|each| each.model.clone()).collect();
    let projects: BTreeSet<ProjectId> = versions.iter().map(|version| version.project_id).collect();
    for project in projects {
        let of = models.iter().map(|model| model.id).collect::<Vec<ModelId>>();
        models.extend(lineage::descendants(db, project, of).await?);
    }
    Ok(models)
}
