//! `/projects/{project}/runs/new/{kind}/facts`: what the launch form says of the chosen model, and
//! of the run: its rows, and what it takes in memory and time. The form has it from the start; a
//! script asks for it again when something else is chosen or typed, and while rows are being counted.

use super::{
    forecast::{Forecast, Planned},
    list::KindPath,
};
use crate::{
    models::facts::{self, ModelFacts},
    training::{
        inputs::{OfferedModels, offered_models},
        kinds::{ModelField, NO_MODEL, RunDefinition},
        reward_accuracy::HeldOutAccuracy,
        row_counter::RowCounter,
        settings,
    },
    web::{
        access::Engineer,
        error::AppError,
        format,
        page::{self, Page},
        typed::TypedQuery,
    },
};
use actix_web::{HttpResponse, web};
use askama::Template;
use entity::{artifact, ids::ProjectId, model, run_input::InputSlot};
use sea_orm::{DatabaseConnection, EntityTrait};
use std::collections::HashMap;
use storage::artifact_store::ArtifactStore;
use trainer_base::memory::ModelInMemory;

/// A model in the words of a page.
pub struct ChosenFacts {
    pub name: String,
    pub parameters: String,
    pub size: String,
    /// "8,192 tokens".
    pub context: Option<String>,
    pub has_chat_template: bool,
    /// A reward model reads a conversation and never writes one, so it is no lack there.
    pub is_reward: bool,
    /// Joined by commas.
    pub languages: Option<String>,
    /// Of a run with it.
    pub forecast: Forecast,
    /// Why the reward model should not be learnt from.
    pub warning: Option<String>,
}

/// Where what is said on a form is known from.
pub struct FactsSource<'a> {
    pub db: &'a DatabaseConnection,
    pub store: &'a ArtifactStore,
    pub counter: &'a RowCounter,
}

impl FactsSource<'_> {
    /// Of the model that was chosen among these, or of the first. Settings that cannot be read give
    /// no estimate: their mistakes are told when the form is sent.
    pub async fn facts(
        &self,
        page: &Page,
        project: ProjectId,
        definition: &'static RunDefinition,
        offered: &OfferedModels,
        typed: &HashMap<String, String>,
    ) -> Result<Option<ChosenFacts>, AppError> {
        let (db, store) = (self.db, self.store);
        let (mut chosen_models, mut warning) = (Vec::new(), None);
        for (field, models) in definition.models.iter().zip(&offered.by_field) {
            if let Some(model) = chosen(field, models, typed.get(field.name)) {
                if field.slot == InputSlot::Reward {
                    warning = unsound(page, model, offered.accuracies.get(&model.id));
                }
                chosen_models.push((model, facts::of(db, store, model).await?));
            }
        }
        let Some((model, known)) = chosen_models.first() else { return Ok(None) };
        let artifact = artifact::Entity::find_by_id(&*model.artifact_hash).one(db).await?;
        let mut facts =
            ChosenFacts::of(page, model, known, artifact.map_or(0, |artifact| artifact.n_bytes));
        let in_memory: Option<Vec<_>> =
            chosen_models.iter().map(|(model, known)| in_memory(model, known)).collect();
        facts.warning = warning;
        if let Ok(config) = settings::parse(definition, typed) {
            let models = chosen_models.iter().map(|(model, _)| *model).collect();
            let planned = Planned { project, definition, typed, config, models, in_memory };
            facts.forecast = Forecast::of(db, self.counter, page, &planned).await?;
        }
        Ok(Some(facts))
    }
}

impl ChosenFacts {
    /// Of a model by itself.
    pub fn of(page: &Page, model: &model::Model, known: &ModelFacts, n_bytes: i64) -> Self {
        let context = known.shape.and_then(|shape| shape.context());
        Self {
            name: model.name.clone(),
            parameters: format::parameters(page.language, model.n_parameters),
            size: format::bytes(page.language, n_bytes),
            context: context.map(|n| page.text("facts-tokens").arg("n", n).to_string()),
            has_chat_template: known.has_chat_template,
            is_reward: model.kind == model::ModelKind::Reward,
            languages: (!known.languages.is_empty()).then(|| known.languages.join(", ")),
            forecast: Forecast::default(),
            warning: None,
        }
    }
}

/// What is said of a reward model that may be no better than a coin, or was never measured.
fn unsound(page: &Page, model: &model::Model, known: Option<&HeldOutAccuracy>) -> Option<String> {
    let percent = |part: f64| format!("{:.0}", part * 100.0);
    let said = match known {
        None => page.text("facts-reward-unmeasured").arg("name", model.name.as_str()),
        Some(known) if known.is_coin() => page
            .text("facts-reward-coin")
            .arg("name", model.name.as_str())
            .arg("percent", percent(known.accuracy))
            .arg("pairs", known.n_pairs)
            .arg("low", percent(known.low))
            .arg("high", percent(known.high)),
        Some(_) => return None,
    };
    Some(said.to_string())
}

/// What a browser's select shows: the chosen one, or the first.
fn chosen<'a>(
    field: &ModelField,
    models: &'a [model::Model],
    id: Option<&String>,
) -> Option<&'a model::Model> {
    if field.optional.is_some() && id.is_some_and(|id| id == NO_MODEL) {
        return None;
    }
    let chosen = id.and_then(|id| models.iter().find(|model| model.id.to_string() == *id));
    chosen.or(models.first())
}

fn in_memory(model: &model::Model, known: &ModelFacts) -> Option<ModelInMemory> {
    let n_parameters = model.n_parameters.cast_unsigned();
    // Workers store whole models.
    Some(ModelInMemory { n_parameters, shape: known.shape?, shares_base: false })
}

#[derive(Template)]
#[template(path = "runs/facts.html")]
struct FactsFragment {
    page: Page,
    facts: Option<ChosenFacts>,
}

pub async fn show(
    page: Page,
    Engineer(access): Engineer,
    path: web::Path<KindPath>,
    typed: TypedQuery<HashMap<String, String>>,
    db: web::Data<DatabaseConnection>,
    store: web::Data<ArtifactStore>,
    counter: web::Data<RowCounter>,
) -> Result<HttpResponse, AppError> {
    let (definition, db) = (path.definition()?, db.get_ref());
    let offered = offered_models(db, access.project.id, definition).await?;
    for (field, models) in definition.models.iter().zip(&offered.by_field) {
        let is_named = |id: &&String| !id.is_empty() && **id != NO_MODEL;
        if let Some(id) = typed.get(field.name).filter(is_named)
            && !models.iter().any(|model| model.id.to_string() == *id)
        {
            return Err(AppError::NotFound);
        }
    }
    let source = FactsSource { db, store: &store, counter: &counter };
    let facts = source.facts(&page, access.project.id, definition, &offered, &typed).await?;
    page::html(&FactsFragment { page, facts })
}
