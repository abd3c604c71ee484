//! `/projects/{project}/judgements/{judgement}`: what was asked, what was said, and which models
//! learnt from it. Who wrote the answers is told to engineers alone: managers may judge as well.

use crate::{
    data::{
        lineage::{self, ContainedRow, DatasetUse},
        texts,
    },
    keeping::erasure,
    pages::training::row_use,
    people::{accounts, person_name::PersonName},
    training::kinds,
    web::{
        access::{Access, ManagerOrEngineer},
        error::AppError,
        format,
        of::{AddressObject, Of, ProjectObject},
        page::{self, Page},
        shown_text::{self, ShownText},
    },
    work::{
        kinds::{FullAnswer, stored_answer, text_hashes},
        shown_answers,
        task_view::{ConversationTurn, conversation},
    },
};
use actix_web::{HttpResponse, web};
use askama::Template;
use entity::{
    completion,
    dataset_version_item::DatasetSplit,
    ids::{JudgementId, ModelId, ProjectId, PromptId, RunId},
    judgement, model, prompt,
    row_use::UseOfRow,
    task,
    time::UnixMillis,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, QueryOrder,
};

#[derive(Template)]
#[template(path = "judgements/show.html")]
struct JudgementPage {
    page: Page,
    access: Access,
    judgement: judgement::Model,
    prompt: PromptId,
    /// When the first of its texts was erased, if any was.
    erased: Option<UnixMillis>,
    /// The text that was written, for an administrator.
    text: Option<String>,
    conversation: Vec<ConversationTurn>,
    sides: Vec<Side>,
    said: FullAnswer,
    written: Option<ShownText>,
    by: Option<PersonName>,
    /// All of the same assignment, the newest first.
    revisions: Vec<judgement::Model>,
    contained: Vec<Contained>,
    /// Made from models that learnt from it, or against them.
    further: Vec<model::Model>,
}

/// An answer as it was shown, from left to right.
struct Side {
    label: char,
    text: ShownText,
    /// The model and the run that wrote it: for engineers, and none for an imported answer.
    author: Option<(model::Model, Option<RunId>)>,
}

/// A row that the judgement became, and what runs made of it.
struct Contained {
    row: ContainedRow,
    uses: Vec<(DatasetUse, UseOfRow)>,
}

impl Contained {
    /// Whether a run that made this of the row learnt from it; one that is held out is measured on.
    fn teaches(&self, made: UseOfRow) -> bool {
        self.row.split == DatasetSplit::Train && !matches!(made, UseOfRow::LeftOut(_))
    }

    fn is_left_out(&self, made: &UseOfRow) -> bool {
        matches!(made, UseOfRow::LeftOut(_))
    }

    /// What is said of the use beside the model, if it is not that it learnt from the row.
    fn note(&self, made: &UseOfRow) -> Option<&'static str> {
        match (made, self.row.split) {
            (UseOfRow::LeftOut(reason), _) => Some(row_use::why(*reason)),
            (UseOfRow::Unknown, DatasetSplit::Train) => Some("row-use-unknown"),
            (_, DatasetSplit::Eval) => Some("row-measured-on"),
            (UseOfRow::Used, DatasetSplit::Train) => None,
        }
    }
}

impl JudgementPage {
    fn is_newest(&self) -> bool {
        self.revisions.first().is_none_or(|newest| newest.id == self.judgement.id)
    }

    fn time_spent(&self) -> Option<String> {
        let milliseconds = self.judgement.lead_time_ms?;
        Some(format::duration(self.page.language, milliseconds as f64 / 1000.0))
    }
}

/// A judgement with the task that it answers.
pub struct TaskJudgement {
    judgement: judgement::Model,
    task: task::Model,
}

impl AddressObject for TaskJudgement {
    const PLACEHOLDER: &'static str = "judgement";

    type Id = JudgementId;

    async fn load(db: &DatabaseConnection, id: JudgementId) -> Result<Option<Self>, DbErr> {
        let found = judgement::Entity::find_by_id(id).one(db).await?;
        let Some(judgement) = found else { return Ok(None) };
        let task = task::Entity::find_by_id(judgement.task_id).one(db).await?;
        Ok(task.map(|task| Self { judgement, task }))
    }
}

impl ProjectObject for TaskJudgement {
    fn project(&self) -> Option<ProjectId> {
        Some(self.task.project_id)
    }
}

pub async fn show(
    page: Page,
    Of(ManagerOrEngineer(access), found): Of<ManagerOrEngineer, TaskJudgement>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let db = db.get_ref();
    let TaskJudgement { judgement, task } = found;
    let prompt = prompt::Entity::find_by_id(task.prompt_id).one(db).await?;
    let prompt = prompt.ok_or(AppError::NotFound)?;
    let asked = texts::load(db, &prompt.text_hash).await?;
    let by = accounts::name(db, judgement.account_id).await?;
    let contained = contained(db, judgement.id).await?;
    let said = said(db, &page, &judgement).await?;
    let written = match &said.written {
        Some(text) => Some(shown_text::markdown(text).await),
        None => None,
    };
    let text = text_hashes([&judgement.payload]).next().filter(|_| access.account.is_admin);
    let view = JudgementPage {
        prompt: prompt.id,
        erased: erasure::of_judgement(db, &judgement, &prompt.text_hash).await?,
        text,
        conversation: conversation(page.language, asked.as_deref()).await,
        sides: sides(db, &page, &access, &judgement).await?,
        said,
        written,
        by,
        revisions: revisions(db, &judgement).await?,
        further: lineage::descendants(db, access.project.id, models_of(&contained)).await?,
        contained,
        page,
        access,
        judgement,
    };
    page::html(&view)
}

fn models_of(contained: &[Contained]) -> impl Iterator<Item = ModelId> {
    contained
        .iter()
        .flat_map(|each| each.uses.iter().filter(|(_, made)| each.teaches(*made)))
        .filter_map(|(learnt, _)| Some(learnt.model.as_ref()?.id))
}

async fn sides(
    db: &DatabaseConnection,
    page: &Page,
    access: &Access,
    judgement: &judgement::Model,
) -> Result<Vec<Side>, AppError> {
    let answers = shown_answers::in_order(db, judgement.task_id, &judgement.shown_order.0).await?;
    let authors: Vec<ModelId> = if access.is_engineer() {
        answers.iter().filter_map(|answer| answer.model_id).collect()
    } else {
        Vec::new()
    };
    let authors = model::Entity::find().filter(model::Column::Id.is_in(authors)).all(db).await?;
    let texts = shown_answers::texts_of(db, page.language, &answers).await?;
    let side = |(label, (answer, text)): (char, (&completion::Model, ShownText))| Side {
        label,
        text,
        author: authors
            .iter()
            .find(|model| Some(model.id) == answer.model_id)
            .map(|model| (model.clone(), answer.run_id)),
    };
    Ok(('A'..).zip(answers.iter().zip(texts)).map(side).collect())
}

async fn said(
    db: &impl ConnectionTrait,
    page: &Page,
    judgement: &judgement::Model,
) -> Result<FullAnswer, AppError> {
    let said = stored_answer(&judgement.payload);
    let text = match said.text_hash() {
        Some(hash) => {
            let text = texts::load(db, hash).await?;
            Some(text.unwrap_or_else(|| page.text("text-removed").to_string()))
        }
        None => None,
    };
    Ok(said.in_full(page, text))
}

async fn revisions(
    db: &impl ConnectionTrait,
    judgement: &judgement::Model,
) -> Result<Vec<judgement::Model>, AppError> {
    let Some(assignment) = judgement.assignment_id else { return Ok(Vec::new()) };
    let all = judgement::Entity::find()
        .filter(judgement::Column::AssignmentId.eq(assignment))
        .order_by_desc(judgement::Column::Revision);
    Ok(all.all(db).await?)
}

async fn contained(
    db: &impl ConnectionTrait,
    judgement: JudgementId,
) -> Result<Vec<Contained>, AppError> {
    let rows = lineage::versions_with(db, judgement).await?;
    let mut uses = lineage::uses(db, rows.iter().map(|row| row.version.id)).await?;
    let contained = |row: ContainedRow| {
        let (mine, others): (Vec<_>, Vec<_>) =
            uses.drain(..).partition(|each: &DatasetUse| each.version == row.version.id);
        uses = others;
        let with_row = |each: DatasetUse| {
            let made = each.of_row(&row);
            (each, made)
        };
        Contained { uses: mine.into_iter().map(with_row).collect(), row }
    };
    Ok(rows.into_iter().map(contained).collect())
}
