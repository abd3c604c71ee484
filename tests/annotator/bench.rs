//! A project with prompts, answers, judgements and runs, written straight into the database: for
//! tests of the functions behind the pages.

use crate::support::{app::TestApp, database::TestDb};
use annotator::{
    config::StorageConfig,
    database,
    people::accounts,
    training::launch::{self, LaunchInput, LaunchRequest},
};
use entity::{
    account, assignment, completion,
    conversation::{ChatMessage, PromptBody},
    hash::sha256_hex,
    ids::{
        AccountId, AssignmentId, CompletionId, DatasetVersionId, JudgementId, ModelId, ProjectId,
        PromptId, RunId, TaskId,
    },
    judgement::{self, ComparisonVerdict, JudgementPayload, ShownOrder, SkipReason},
    model, project, prompt,
    run::{self, RunStatus},
    run_config::SampleConfig,
    run_event, task, task_completion, text,
    time::UnixMillis,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, DatabaseConnection, EntityTrait, sea_query::OnConflict,
};
use serde_json::json;
use storage::artifact_store::ArtifactStore;

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

pub(crate) struct Bench {
    pub(crate) db: DatabaseConnection,
    pub(crate) store: ArtifactStore,
    pub(crate) project: ProjectId,
    pub(crate) person: AccountId,
    _database: Option<TestDb>,
}

impl Bench {
    pub(crate) async fn new(database: TestDb) -> Self {
        let storage = StorageConfig {
            data_dir: database.folder.path().to_owned(),
            database_url: Some(database.url.clone()),
            artifacts: None,
            no_migration_copy: false,
        };
        let db = database::open(&storage).await.expect("the database opens");
        let store = ArtifactStore::open(storage.artifacts_dir()).expect("a store");
        let (project, person) = (ProjectId::new(), AccountId::new());
        let row = project::ActiveModel {
            id: Set(project),
            name: Set("bench".into()),
            guidelines: Set(String::new()),
            comparison_overlap: Set(2),
            created_at: Set(NOW),
            ..Default::default()
        };
        project::Entity::insert(row).exec_without_returning(&db).await.unwrap();
        let row = account::ActiveModel {
            id: Set(person),
            login: Set("person".into()),
            display_name: Set("Person".into()),
            password_hash: Set("none".into()),
            password_is_one_time: Set(false),
            is_admin: Set(false),
            language: Set(None),
            created_at: Set(NOW),
            disabled_at: Set(None),
            ..Default::default()
        };
        account::Entity::insert(row).exec_without_returning(&db).await.unwrap();
        Self { db, store, project, person, _database: Some(database) }
    }

    /// In a project of a server that runs, on behalf of its administrator.
    pub(crate) async fn beside(app: &TestApp, project: &str) -> Self {
        let (_, id) = project.rsplit_once('/').expect("an address");
        let admin = accounts::find_by_login(&app.rows, "admin").await.unwrap().unwrap();
        let store = ArtifactStore::open(app.database.folder.path().join("artifacts"));
        Self {
            db: app.rows.clone(),
            store: store.expect("a store"),
            project: id.parse().expect("an id"),
            person: admin.id,
            _database: None,
        }
    }

    pub(crate) async fn text(&self, body: &str) -> String {
        let hash = sha256_hex(body);
        let row = text::ActiveModel {
            hash: Set(hash.clone()),
            body: Set(Some(body.into())),
            created_at: Set(NOW),
        };
        let known = OnConflict::column(text::Column::Hash).do_nothing().to_owned();
        text::Entity::insert(row)
            .on_conflict(known)
            .exec_without_returning(&self.db)
            .await
            .unwrap();
        hash
    }

    /// A prompt of one message by the user.
    pub(crate) async fn prompt(&self, question: &str) -> PromptId {
        let id = PromptId::new();
        let text = PromptBody::Messages(vec![ChatMessage::user(question)]).to_canonical_json();
        let row = prompt::ActiveModel {
            id: Set(id),
            project_id: Set(self.project),
            text_hash: Set(self.text(&text).await),
            created_at: Set(NOW),
            withdrawn_at: Set(None),
        };
        prompt::Entity::insert(row).exec_without_returning(&self.db).await.unwrap();
        id
    }

    async fn task(&self, prompt: PromptId, kind: task::TaskKind) -> TaskId {
        let id = TaskId::new();
        let row = task::ActiveModel {
            id: Set(id),
            project_id: Set(self.project),
            prompt_id: Set(prompt),
            kind: Set(kind),
            overlap: Set(1),
            open_slots: Set(0),
            run_id: Set(None),
            origin: Set(format!("bench:{id}")),
            created_at: Set(NOW),
        };
        task::Entity::insert(row).exec_without_returning(&self.db).await.unwrap();
        id
    }

    /// A comparison of two answers, the first at position 0.
    pub(crate) async fn comparison(&self, prompt: PromptId, answers: [&str; 2]) -> Asked {
        let task = self.task(prompt, task::TaskKind::Compare).await;
        for (position, answer) in (0..).zip(answers) {
            let completion = CompletionId::new();
            let row = completion::ActiveModel {
                id: Set(completion),
                prompt_id: Set(prompt),
                text_hash: Set(self.text(answer).await),
                model_id: Set(None),
                run_id: Set(None),
                sample_index: Set(position),
                finish_reason: Set(None),
                n_tokens: Set(None),
                created_at: Set(NOW),
            };
            completion::Entity::insert(row).exec_without_returning(&self.db).await.unwrap();
            let row = task_completion::ActiveModel {
                task_id: Set(task),
                position: Set(position),
                completion_id: Set(completion),
            };
            task_completion::Entity::insert(row).exec_without_returning(&self.db).await.unwrap();
        }
        self.assigned(task).await
    }

    pub(crate) async fn demonstration(&self, prompt: PromptId) -> Asked {
        let task = self.task(prompt, task::TaskKind::Demonstrate).await;
        self.assigned(task).await
    }

    async fn assigned(&self, task: TaskId) -> Asked {
        let assignment = AssignmentId::new();
        let row = assignment::ActiveModel {
            draft_version: Set(0),
            id: Set(assignment),
            task_id: Set(task),
            account_id: Set(self.person),
            state: Set(assignment::AssignmentState::Submitted),
            expires_at: Set(NOW),
            order_seed: Set(0),
            created_at: Set(NOW),
        };
        assignment::Entity::insert(row).exec_without_returning(&self.db).await.unwrap();
        Asked { task, assignment }
    }

    /// Revision by revision; the answers were shown in the order of their positions, or the other
    /// way round.
    pub(crate) async fn say(
        &self,
        asked: Asked,
        revision: i32,
        payload: JudgementPayload,
        swapped: bool,
    ) {
        let by = Some((asked.assignment, self.person));
        self.judge(asked.task, by, revision, payload, swapped).await;
    }

    /// As a file says it.
    pub(crate) async fn import(&self, asked: Asked, payload: JudgementPayload) {
        self.judge(asked.task, None, 1, payload, false).await;
    }

    async fn judge(
        &self,
        task: TaskId,
        by: Option<(AssignmentId, AccountId)>,
        revision: i32,
        payload: JudgementPayload,
        swapped: bool,
    ) {
        let (assignment, account) = by.unzip();
        let row = judgement::ActiveModel {
            id: Set(JudgementId::new()),
            task_id: Set(task),
            assignment_id: Set(assignment),
            account_id: Set(account),
            revision: Set(revision),
            payload: Set(payload),
            shown_order: Set(ShownOrder(if swapped { vec![1, 0] } else { vec![0, 1] })),
            idempotency_key: Set(format!("{revision}")),
            lead_time_ms: Set(None),
            created_at: Set(NOW),
        };
        judgement::Entity::insert(row).exec_without_returning(&self.db).await.unwrap();
    }

    pub(crate) async fn model(&self, name: &str, kind: model::ModelKind) -> ModelId {
        let id = ModelId::new();
        let row = model::ActiveModel {
            id: Set(id),
            project_id: Set(Some(self.project)),
            name: Set(name.into()),
            kind: Set(kind),
            parent_id: Set(None),
            run_id: Set(None),
            artifact_hash: Set("none".into()),
            n_parameters: Set(1),
            created_at: Set(NOW),
            ..Default::default()
        };
        model::Entity::insert(row).exec_without_returning(&self.db).await.unwrap();
        id
    }

    pub(crate) async fn queued(
        &self,
        kind: run::RunKind,
        config: serde_json::Value,
        model: ModelId,
        dataset: DatasetVersionId,
    ) -> RunId {
        let launch = LaunchRequest {
            project: self.project,
            kind,
            config,
            inputs: vec![
                LaunchInput::Model(entity::run_input::InputSlot::Model, model),
                LaunchInput::Rows(dataset),
            ],
            by: Some(self.person),
        };
        launch::queue(&self.db, &launch).await.unwrap()
    }

    pub(crate) async fn queued_sample(&self, model: ModelId, dataset: DatasetVersionId) -> RunId {
        self.queued(run::RunKind::Sample, json!(SampleConfig::default()), model, dataset).await
    }

    pub(crate) async fn set_status(&self, run: RunId, status: RunStatus) {
        let row = run::ActiveModel {
            id: Set(run),
            status: Set(status),
            ..<run::ActiveModel as Default>::default()
        };
        row.update(&self.db).await.unwrap();
    }

    /// What a worker does when a sample run is done: `completions.jsonl` is kept, the run succeeds.
    pub(crate) async fn succeed_with(&self, run: RunId, completions: &str) {
        let folder = self.store.incoming().unwrap();
        std::fs::write(folder.join("completions.jsonl"), completions).unwrap();
        let stored = self.store.adopt(&folder).unwrap();
        let row = run::ActiveModel {
            id: Set(run),
            status: Set(RunStatus::Succeeded),
            output_hash: Set(Some(stored.hash)),
            ..<run::ActiveModel as Default>::default()
        };
        row.update(&self.db).await.unwrap();
    }

    pub(crate) async fn event(&self, run: RunId, sequence: i64) {
        let row = run_event::ActiveModel {
            run_id: Set(run),
            sequence: Set(sequence),
            attempt: Set(1),
            event: Set(json!({ "event": "metrics", "metrics": { "step": sequence } })),
            created_at: Set(NOW),
        };
        run_event::Entity::insert(row).exec_without_returning(&self.db).await.unwrap();
    }
}

/// A task in somebody's hands.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    task: TaskId,
    assignment: AssignmentId,
}

pub(crate) fn prefers(verdict: ComparisonVerdict) -> JudgementPayload {
    JudgementPayload::Comparison { verdict, rationale_hash: None }
}

pub(crate) fn skips() -> JudgementPayload {
    JudgementPayload::Skip { reason: SkipReason::Unclear, note_hash: None }
}
