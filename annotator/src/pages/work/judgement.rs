//! `/projects/{project}/judgements/{judgement}`: what was asked, what was said, and which models
//! learnt from it. Who wrote the answers is told to engineers alone: managers may judge as well.

use crate::training::kinds;
use crate::{
    data::{
        lineage::{self, DatasetUse},
        texts,
    },
    people::accounts,
    web::{
        access::{Access, ManagerOrEngineer},
        error::AppError,
        markdown,
        page::{self, Page},
    },
    work::judgement::{skip_reason_key, verdict_key},
};
use crate::{
    web::format,
    work::{
        shown_answers,
        task_view::{Turn, conversation},
    },
};
use actix_web::{HttpResponse, web};
use askama::Template;
use entity::{
    dataset_version,
    dataset_version_item::DatasetSplit,
    ids::{JudgementId, ModelId, ProjectId, PromptId, RunId},
    judgement::{self, JudgementPayload},
    model, prompt, task,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, EntityTrait, QueryFilter, QueryOrder,
};
use std::collections::HashMap;

#[derive(Template)]
#[template(path = "judgements/show.html")]
struct JudgementPage {
    page: Page,
    access: Access,
    judgement: judgement::Model,
    prompt: PromptId,
    shown: Shown,
    sides: Vec<Side>,
    said: Said,
    by: Option<String>,
    /// All of the same assignment, the newest first.
    revisions: Vec<judgement::Model>,
    contained: Vec<Contained>,
    /// Made from models that learnt from it, or against them.
    further: Vec<model::Model>,
}

/// What the macro that draws a conversation wants.
struct Shown {
    conversation: Vec<Turn>,
}

/// An answer as it was shown, from left to right.
struct Side {
    label: char,
    html: String,
    /// The model and the run that wrote it: for engineers, and none for an imported answer.
    author: Option<(model::Model, Option<RunId>)>,
}

enum Said {
    Demonstration { html: String },
    Comparison { verdict: &'static str, rationale: Option<String> },
    Skip { reason: &'static str, note: Option<String> },
}

/// A dataset version that the judgement is in, and what came of it.
struct Contained {
    version: dataset_version::Model,
    split: DatasetSplit,
    uses: Vec<DatasetUse>,
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

pub async fn show(
    page: Page,
    ManagerOrEngineer(access): ManagerOrEngineer,
    path: web::Path<(ProjectId, String)>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let db = db.get_ref();
    let (judgement, task) = find(db, &access, &path.1).await?;
    let prompt = prompt::Entity::find_by_id(task.prompt_id).one(db).await?;
    let prompt = prompt.ok_or(AppError::NotFound)?;
    let asked = texts::load(db, &prompt.text_hash).await?;
    let by = accounts::name(db, judgement.account_id).await?;
    let contained = contained(db, judgement.id).await?;
    let view = JudgementPage {
        prompt: prompt.id,
        shown: Shown { conversation: conversation(page.language, asked.as_deref()) },
        sides: sides(db, &page, &access, &judgement).await?,
        said: said(db, &page, &judgement).await?,
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
        .flat_map(|each| &each.uses)
        .filter_map(|learnt| Some(learnt.model.as_ref()?.id))
}

/// The judgement that an address names, if it is of this project.
async fn find(
    db: &impl ConnectionTrait,
    access: &Access,
    id: &str,
) -> Result<(judgement::Model, task::Model), AppError> {
    let id: JudgementId = id.parse().map_err(|_| AppError::NotFound)?;
    let judgement = judgement::Entity::find_by_id(id).one(db).await?.ok_or(AppError::NotFound)?;
    let task = task::Entity::find_by_id(judgement.task_id).one(db).await?;
    let task = task.filter(|task| task.project_id == access.project.id);
    Ok((judgement, task.ok_or(AppError::NotFound)?))
}

async fn sides(
    db: &DatabaseConnection,
    page: &Page,
    access: &Access,
    judgement: &judgement::Model,
) -> Result<Vec<Side>, AppError> {
    let answers = shown_answers::in_order(db, judgement.task_id, &judgement.shown_order.0).await?;
    let bodies = texts::load_all(db, answers.iter().map(|answer| answer.text_hash.clone())).await?;
    let authors = match access.is_engineer() {
        true => answers.iter().filter_map(|answer| answer.model_id).collect(),
        false => Vec::new(),
    };
    let authors = model::Entity::find().filter(model::Column::Id.is_in(authors)).all(db).await?;
    let removed = page.text("text-removed").to_string();
    let side = |(label, answer): (char, &entity::completion::Model)| Side {
        label,
        html: markdown::to_html(bodies.get(&answer.text_hash).unwrap_or(&removed)),
        author: authors
            .iter()
            .find(|model| Some(model.id) == answer.model_id)
            .map(|model| (model.clone(), answer.run_id)),
    };
    Ok(('A'..).zip(&answers).map(side).collect())
}

async fn said(
    db: &impl ConnectionTrait,
    page: &Page,
    judgement: &judgement::Model,
) -> Result<Said, AppError> {
    let text = match judgement.payload.text_hash() {
        Some(hash) => Some(
            texts::load(db, hash).await?.unwrap_or_else(|| page.text("text-removed").to_string()),
        ),
        None => None,
    };
    Ok(match &judgement.payload {
        JudgementPayload::Demonstration { .. } => {
            Said::Demonstration { html: markdown::to_html(&text.unwrap_or_default()) }
        }
        JudgementPayload::Comparison { verdict, .. } => {
            Said::Comparison { verdict: verdict_key(*verdict), rationale: text }
        }
        JudgementPayload::Skip { reason, .. } => {
            Said::Skip { reason: skip_reason_key(*reason), note: text }
        }
    })
}

/// What a judgement says, in a few words. `bodies` are texts by hash.
pub fn gist(page: &Page, said: &judgement::Model, bodies: &HashMap<String, String>) -> String {
    match &said.payload {
        JudgementPayload::Demonstration { text_hash } => match bodies.get(text_hash) {
            Some(body) => texts::beginning(body),
            None => page.text("text-removed").to_string(),
        },
        JudgementPayload::Comparison { verdict, .. } => {
            page.text(verdict_key(*verdict)).to_string()
        }
        JudgementPayload::Skip { reason, .. } => page
            .text("judgement-skipped")
            .arg("reason", page.text(skip_reason_key(*reason)).to_string())
            .to_string(),
    }
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
    let versions = lineage::versions_with(db, judgement).await?;
    let mut uses = lineage::uses(db, versions.iter().map(|(version, _)| version.id)).await?;
    let contained = |(version, split): (dataset_version::Model, DatasetSplit)| {
        let (mine, others) =
            uses.drain(..).partition(|each: &DatasetUse| each.version == version.id);
        uses = others;
        Contained { version, split, uses: mine }
    };
    Ok(versions.into_iter().map(contained).collect())
}
