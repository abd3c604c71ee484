//! `/projects/{project}/datasets`: the frozen versions, what is in each, and what came of it.

use crate::{
    data::{
        dataset, formats,
        lineage::{self, DatasetUse},
        prompts, texts,
    },
    pages::training::row_use,
    people::{accounts, person_name::PersonName},
    training::kinds,
    web::{
        access::{Access, Engineer},
        error::AppError,
        format,
        list_part::{ListPart, ListPosition},
        of::Of,
        page::{self, Page, PageNumber},
        typed::TypedQuery,
    },
    work::kinds::{gist, text_hashes},
};
use actix_web::{HttpResponse, web};
use askama::Template;
use entity::{
    artifact, dataset_version, dataset_version_item,
    ids::{DatasetVersionId, JudgementId, PromptId},
    judgement, prompt,
    time::UnixMillis,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseConnection, EntityTrait, QueryFilter};

const PER_PAGE: usize = 50;

/// A version of a list: with who froze it and how often it was read.
struct Line {
    version: dataset_version::Model,
    by: Option<PersonName>,
    n_uses: usize,
}

#[derive(Template)]
#[template(path = "datasets/list.html")]
struct DatasetsPage {
    page: Page,
    access: Access,
    lines: Vec<Line>,
    /// Where the neighbours of this part of the list are.
    newer: Option<String>,
    older: Option<String>,
}

pub async fn list(
    page: Page,
    Engineer(access): Engineer,
    query: TypedQuery<ListPosition>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let db = db.get_ref();
    let all = dataset::versions_of(access.project.id);
    let key: (_, fn(&dataset_version::Model) -> DatasetVersionId) =
        (dataset_version::Column::Id, |row| row.id);
    let ListPart { rows: versions, newer, older } =
        ListPart::load(db, all, key, &query, PER_PAGE).await?;
    let uses = lineage::uses(db, versions.iter().map(|version| version.id)).await?;
    let authors = versions.iter().filter_map(|version| version.created_by);
    let people = accounts::names(db, authors).await?;
    let line = |version: dataset_version::Model| Line {
        by: version.created_by.and_then(|id| people.get(&id).cloned()),
        n_uses: uses.iter().filter(|each| each.version == version.id).count(),
        version,
    };
    let lines = versions.into_iter().map(line).collect();
    page::html(&DatasetsPage { page, access, lines, newer, older })
}

impl DatasetPage {
    /// How many of the version's rows a run used.
    fn used(&self, learnt: &DatasetUse) -> Vec<String> {
        row_use::in_words(&self.page, &lineage::used_rows(&learnt.run))
    }
}

/// A row of the version's files.
struct Row {
    split: &'static str,
    /// 1-based, as lines of a file are counted.
    line: i32,
    prompt: PromptId,
    headline: String,
    /// The judgement that it came of, and what that says in short.
    said: Option<(JudgementId, String)>,
}

#[derive(Template)]
#[template(path = "datasets/show.html")]
struct DatasetPage {
    page: Page,
    access: Access,
    version: dataset_version::Model,
    by: Option<PersonName>,
    n_bytes: i64,
    /// Since when its files are gone, if they are.
    erased: Option<UnixMillis>,
    uses: Vec<DatasetUse>,
    rows: Vec<Row>,
    /// From 1.
    number: u64,
    n_pages: u64,
}

pub async fn show(
    page: Page,
    Of(Engineer(access), version): Of<Engineer, dataset_version::Model>,
    query: TypedQuery<PageNumber>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let db = db.get_ref();
    let n_pages = version.counts.rows().div_ceil(PER_PAGE as u64);
    let number = query.within(n_pages);
    let first = (number - 1) * PER_PAGE as u64;
    let items = dataset::rows_of(db, &version, first..first + PER_PAGE as u64).await?;
    let rows = rows(db, &page, items).await?;
    let artifact = artifact::Entity::find_by_id(&version.hash).one(db).await?;
    let uses = lineage::uses(db, [version.id]).await?;
    let by = accounts::name(db, version.created_by).await?;
    let erased = artifact.as_ref().and_then(|artifact| artifact.erased_at);
    let n_bytes = artifact.map_or(0, |artifact| artifact.n_bytes);
    page::html(&DatasetPage {
        page,
        access,
        version,
        by,
        n_bytes,
        erased,
        uses,
        rows,
        number,
        n_pages,
    })
}

async fn rows(
    db: &impl ConnectionTrait,
    page: &Page,
    items: Vec<dataset_version_item::Model>,
) -> Result<Vec<Row>, AppError> {
    let prompts = prompt::Entity::find()
        .filter(prompt::Column::Id.is_in(items.iter().map(|item| item.prompt_id)))
        .all(db)
        .await?;
    let judgements = judgement::Entity::find()
        .filter(judgement::Column::Id.is_in(items.iter().filter_map(|item| item.judgement_id)))
        .all(db)
        .await?;
    let hashes = prompts.iter().map(|prompt| prompt.text_hash.clone());
    let said = text_hashes(judgements.iter().map(|judgement| &judgement.payload));
    let bodies = texts::beginnings(db, hashes.chain(said)).await?;
    let removed = page.text("text-removed").to_string();
    let headline = |id: PromptId| {
        let hash = prompts.iter().find(|prompt| prompt.id == id).map(|prompt| &prompt.text_hash);
        match hash.and_then(|hash| bodies.get(hash)) {
            Some(body) => prompts::in_a_list(body).0,
            None => removed.clone(),
        }
    };
    let row = |item: dataset_version_item::Model| Row {
        split: format::split(item.split),
        line: item.position + 1,
        prompt: item.prompt_id,
        headline: headline(item.prompt_id),
        said: judgements
            .iter()
            .find(|judgement| Some(judgement.id) == item.judgement_id)
            .map(|judgement| (judgement.id, gist(page, &judgement.payload, &bodies))),
    };
    Ok(items.into_iter().map(row).collect())
}
