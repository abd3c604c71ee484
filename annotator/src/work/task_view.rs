//! What a task page shows, whatever its kind.

use crate::{
    data::{prompts, texts},
    web::{
        access::Access, error::AppError, form::FieldErrors, i18n::Language, markdown, page::Page,
    },
    work::{
        judgement::{self, TaskForm},
        kinds::{
            compare::{self, ComparePage},
            demonstrate::DemonstratePage,
        },
    },
};
use askama::Template;
use entity::{
    conversation::{MessageRole, PromptBody},
    draft,
    ids::AssignmentId,
    judgement::JudgementPayload,
    prompt, task,
};
use rand::distr::{Alphanumeric, SampleString};
use sea_orm::{DatabaseConnection, EntityTrait};

/// What a task page of any kind shows.
pub struct View {
    pub url: String,
    pub conversation: Vec<Turn>,
    pub guidelines_html: String,
    pub state: entity::assignment::AssignmentState,
    /// The answer before this one, for another look.
    pub previous: Option<String>,
    /// What the form holds: as just typed, else the draft, else the last answer.
    pub form: TaskForm,
    pub errors: FieldErrors,
    /// Values and words of the reasons for a skip.
    pub skip_reasons: Vec<(&'static str, String)>,
    /// A fresh key for the submit that this page will make.
    pub idempotency_key: String,
}

impl View {
    /// Already answered or skipped: this page changes that.
    pub fn is_revision(&self) -> bool {
        use entity::assignment::AssignmentState::{Extra, Skipped, Submitted};
        matches!(self.state, Submitted | Extra | Skipped)
    }

    pub fn is_expired(&self) -> bool {
        self.state == entity::assignment::AssignmentState::Expired
    }
}

fn skip_reasons(page: &Page) -> Vec<(&'static str, String)> {
    let reasons = judgement::SKIP_REASONS.iter();
    reasons.map(|(value, key, _)| (*value, page.text(key).to_string())).collect()
}

/// One message of the prompt.
pub struct Turn {
    pub class: &'static str,
    pub speaker: String,
    pub html: String,
}

/// A prompt as it is shown: from its canonical JSON, none when it was removed.
pub fn conversation(language: Language, canonical_json: Option<&str>) -> Vec<Turn> {
    let Some(json) = canonical_json else {
        let html = language.text("text-removed").to_string();
        return vec![Turn {
            class: "user",
            speaker: language.text("speaker-user").to_string(),
            html,
        }];
    };
    let turn = |message: entity::conversation::ChatMessage| {
        let (class, key) = match message.role {
            MessageRole::System => ("system", "speaker-system"),
            MessageRole::User => ("user", "speaker-user"),
            MessageRole::Assistant => ("assistant", "speaker-assistant"),
        };
        Turn {
            class,
            speaker: language.text(key).to_string(),
            html: markdown::to_html(&message.content),
        }
    };
    match prompts::parse(json) {
        PromptBody::Text(text) => vec![Turn {
            class: "user",
            speaker: language.text("speaker-plain-text").to_string(),
            html: markdown::to_html(&text),
        }],
        PromptBody::Messages(messages) => messages.into_iter().map(turn).collect(),
    }
}

/// A task that a person holds or held.
pub struct Held {
    pub assignment: entity::assignment::Model,
    pub task: task::Model,
}

impl Held {
    /// Only one's own, and only in the project of the address.
    pub async fn find(
        db: &DatabaseConnection,
        access: &Access,
        id: AssignmentId,
    ) -> Result<Self, AppError> {
        let assignment = entity::assignment::Entity::find_by_id(id).one(db).await?;
        let assignment = assignment
            .filter(|row| row.account_id == access.account.id)
            .ok_or(AppError::NotFound)?;
        let task = task::Entity::find_by_id(assignment.task_id).one(db).await?;
        let task =
            task.filter(|task| task.project_id == access.project.id).ok_or(AppError::NotFound)?;
        Ok(Self { assignment, task })
    }

    pub async fn view(
        &self,
        page: &Page,
        access: &Access,
        db: &DatabaseConnection,
    ) -> Result<View, AppError> {
        let prompt = prompt::Entity::find_by_id(self.task.prompt_id)
            .one(db)
            .await?
            .ok_or(AppError::NotFound)?;
        let text = texts::load(db, &prompt.text_hash).await?;
        let previous = judgement::previous(db, &self.assignment, &self.task).await?;
        Ok(View {
            url: access.url(&format!("/tasks/{}", self.assignment.id)),
            conversation: conversation(page.language, text.as_deref()),
            guidelines_html: markdown::to_html(&access.project.guidelines),
            state: self.assignment.state,
            previous: previous.map(|id| access.url(&format!("/tasks/{id}"))),
            form: typed_before(db, self.assignment.id).await?,
            errors: FieldErrors::default(),
            idempotency_key: Alphanumeric.sample_string(&mut rand::rng(), 32),
            skip_reasons: skip_reasons(page),
        })
    }

    /// The page of the task's kind.
    pub async fn render(
        &self,
        page: Page,
        access: Access,
        view: View,
        db: &DatabaseConnection,
    ) -> Result<String, AppError> {
        Ok(match self.task.kind {
            task::TaskKind::Demonstrate => {
                DemonstratePage { page, access, view, preview_html: None }.render()?
            }
            task::TaskKind::Compare => {
                let sides = compare::sides(self, page.language, db).await?;
                ComparePage { page, access, view, sides }.render()?
            }
        })
    }
}

/// The draft, else the last answer.
async fn typed_before(db: &DatabaseConnection, id: AssignmentId) -> Result<TaskForm, AppError> {
    if let Some(draft) = draft::Entity::find_by_id(id).one(db).await? {
        return Ok(serde_json::from_str(&draft.body)?);
    }
    let mut form = TaskForm::default();
    match judgement::latest(db, id).await?.map(|last| last.payload) {
        Some(JudgementPayload::Demonstration { text_hash }) => {
            form.answer = texts::load(db, &text_hash).await?.unwrap_or_default();
        }
        Some(JudgementPayload::Comparison { verdict, rationale_hash }) => {
            form.choice = judgement::choice(verdict);
            if let Some(hash) = rationale_hash {
                form.rationale = texts::load(db, &hash).await?.unwrap_or_default();
            }
        }
        Some(JudgementPayload::Skip { .. }) | None => {}
    }
    Ok(form)
}
