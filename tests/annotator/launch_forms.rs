//! What a launch form suggests, and what a half-done run may still change.

use crate::support::{
    app::{TestApp, Worker},
    builders::{add_frozen_judgement, add_model},
    database::{TestDb, on_both_databases},
    web::Visitor,
};
use entity::{
    ids::{ModelId, ProjectId, RunId},
    model::{self, ModelKind},
    report::RunSummary,
    run::{self, RunKind, RunStatus},
    run_config::RewardConfig,
    time::UnixMillis,
};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait};
use serde_json::{Value, json};
use storage::artifact_store::ArtifactStore;

struct Place {
    app: TestApp,
    project: String,
    id: ProjectId,
    store: ArtifactStore,
    engineer: Visitor,
}

impl Place {
    async fn new(database: TestDb) -> Self {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Launching").await;
        let id: ProjectId = project.rsplit('/').next().unwrap().parse().unwrap();
        let store = ArtifactStore::open(app.database.folder.path().join("artifacts")).unwrap();
        let engineer = app.new_person(&project, "engineer", &["engineer"]).await;
        Self { app, project, id, store, engineer }
    }

    async fn model(&self, name: &str, kind: ModelKind, run: Option<RunId>) -> ModelId {
        let id = add_model(&self.app.rows, &self.store, self.id, name).await;
        let row = model::ActiveModel {
            id: Set(id),
            kind: Set(kind),
            run_id: Set(run),
            ..Default::default()
        };
        row.update(&self.app.rows).await.unwrap();
        id
    }

    /// A reward model that was right on a part of so many held-out pairs, between these bounds.
    async fn reward_model(
        &self,
        name: &str,
        right: f64,
        (low, high): (f64, f64),
        n: u64,
    ) -> ModelId {
        let measured = json!({
            "eval_accuracy": right, "eval_accuracy_low": low, "eval_accuracy_high": high,
            "eval_pairs": n,
        });
        let summary = RunSummary {
            kind: "reward".to_owned(),
            steps: 1,
            tokens: 1,
            seconds: 1.0,
            tokens_per_second: 1.0,
            peak_rss_mb: 1,
            expected_mb: None,
            rows: Vec::new(),
            last: measured.as_object().unwrap().clone(),
        };
        let id = RunId::new();
        let run = run::ActiveModel {
            id: Set(id),
            project_id: Set(self.id),
            kind: Set(RunKind::Reward),
            config: Set(json!(RewardConfig::default())),
            status: Set(RunStatus::Succeeded),
            attempt: Set(1),
            cancel_requested: Set(false),
            progress: Set(1.0),
            step: Set(1),
            n_steps: Set(1),
            created_at: Set(UnixMillis::now()),
            summary: Set(Some(json!(summary))),
            ..<run::ActiveModel as Default>::default()
        };
        run.insert(&self.app.rows).await.unwrap();
        self.model(name, ModelKind::Reward, Some(id)).await
    }

    async fn run(&self, id: RunId) -> run::Model {
        run::Entity::find_by_id(id).one(&self.app.rows).await.unwrap().unwrap()
    }
}

on_both_databases! {
    async fn training_starts_from_the_base_unless_another_model_is_chosen(database: TestDb) {
        let place = Place::new(database).await;
        place.model("the-base", ModelKind::Base, None).await;
        place.model("the-tuned", ModelKind::Sft, None).await;
        place.model("the-policy", ModelKind::Policy, None).await;
        for kind in ["sft", "reward", "dpo", "kto", "ppo", "grpo", "rloo"] {
            let page = place.engineer.get(&format!("{}/runs/new/{kind}", place.project)).await;
            let first = &page.texts("#model option")[0];
            assert!(first.starts_with("the-base"), "{kind}: {first}");
        }
    }
}

on_both_databases! {
    async fn each_reward_model_stands_with_its_accuracy_and_a_coin_comes_last_with_a_warning(database: TestDb) {
        let place = Place::new(database).await;
        place.model("the-base", ModelKind::Base, None).await;
        place.reward_model("the-judge", 0.69, (0.54, 0.81), 42).await;
        place.model("the-import", ModelKind::Reward, None).await;
        let coin = place.reward_model("the-coin", 0.5, (0.24, 0.76), 10).await;
        let form = format!("{}/runs/new/ppo", place.project);
        let page = place.engineer.get(&form).await;
        assert_eq!(
            page.texts("#reward_model option"),
            [
                "the-judge · right on 69 % of 42 held-out comparisons",
                "the-import · not measured",
                "the-coin · right on 50 % of 10 held-out comparisons: perhaps a coin",
            ]
        );
        assert!(page.texts(".facts .warning").is_empty(), "{}", page.text());
        let chosen = place.engineer.get(&format!("{form}/facts?reward_model={coin}")).await;
        let [warning] = &chosen.texts(".warning")[..] else { panic!("{}", chosen.text()) };
        assert!(warning.contains("the-coin cannot be told from a coin"), "{warning}");
        assert!(warning.contains("24 to 76 %"), "{warning}");
    }
}

on_both_databases! {
    async fn what_follows_a_run_can_be_switched_off(database: TestDb) {
        let place = Place::new(database).await;
        add_frozen_judgement(&place.app.rows, &place.store, place.id, "a fox").await;
        place.model("the-base", ModelKind::Base, None).await;
        let sample = async |settings: &[(&str, &str)]| {
            let settings: Vec<_> =
                settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            place.app.queue(&place.engineer, &place.project, "sample", &settings).await
        };
        let all = ("prompts", "all");
        let followed = sample(&[all]).await;
        assert_eq!(place.run(followed).await.followed_up_at, None);
        let alone = sample(&[all, ("follow_up", "false")]).await;
        let run = place.run(alone).await;
        assert_eq!(run.followed_up_at, Some(run.created_at));
        let page = place.engineer.get(&format!("{}/runs/{alone}", place.project)).await;
        assert!(page.text().contains("Nothing: that was chosen at the launch."), "{}", page.text());
        let address = format!("{}/runs/new/sample", place.project);
        for (run, chosen) in [(alone, "false"), (followed, "true")] {
            let again = place.engineer.get(&format!("{address}?from={run}")).await;
            assert_eq!(again.form(&address).value("follow_up"), Some(chosen));
        }
        for kind in ["dpo", "kto", "ppo", "grpo", "rloo"] {
            let form = place.engineer.get(&format!("{}/runs/new/{kind}", place.project)).await;
            assert_eq!(form.texts("label[for=follow_up]"), ["Then let the new model answer"]);
        }
        let form = place.engineer.get(&format!("{}/runs/new/sft", place.project)).await;
        assert!(form.texts("label[for=follow_up]").is_empty());
        place.app.forget_runs().await;
    }
}

on_both_databases! {
    async fn a_half_done_run_goes_on_with_other_measuring(database: TestDb) {
        let place = Place::new(database).await;
        let (_, _, version) =
            add_frozen_judgement(&place.app.rows, &place.store, place.id, "a fox").await;
        place.model("the-base", ModelKind::Base, None).await;
        let settings = [("dataset".to_owned(), version.to_string())];
        let id = place.app.queue(&place.engineer, &place.project, "sft", &settings).await;
        // Of a time when there was nothing to compute once more.
        let mut config = place.run(id).await.config;
        config.as_object_mut().unwrap().shift_remove("gradient_checkpointing");
        let over = run::ActiveModel {
            id: Set(id),
            status: Set(RunStatus::Failed),
            config: Set(config),
            ..<run::ActiveModel as Default>::default()
        };
        over.update(&place.app.rows).await.unwrap();
        let checkpoint = place.store.run_folder(id).join("1/output/checkpoint-2");
        std::fs::create_dir_all(checkpoint).unwrap();

        let address = format!("{}/runs/{id}", place.project);
        let page = place.engineer.get(&address).await;
        let labels = page.texts("#run-status label");
        let asked = [
            "Measure every so many steps",
            "Recompute layers to save memory",
            "Checkpoint every so many steps",
            "Precision of the finished model",
        ];
        assert_eq!(labels, asked);
        let chosen = |name: &str| page.texts(&format!("#run-status [name={name}] [selected]"));
        assert_eq!(chosen("gradient_checkpointing"), ["No"]);
        assert_eq!(chosen("save_dtype").len(), 1, "what it was launched with");
        let token = page.form("/resume").value("csrf").unwrap().to_owned();
        let resume = async |every: &str, seed: &str| {
            let fields = [
                ("csrf", token.as_str()),
                ("eval_every", every),
                ("seed", seed),
                ("gradient_checkpointing", "true"),
            ];
            place.engineer.ask("post", &format!("{address}/resume"), &fields).await;
            place.run(id).await
        };
        let refused = resume("often", "1").await;
        assert_eq!(refused.status, RunStatus::Failed);
        let before: Value = refused.config;
        let resumed = resume("7", "1").await;
        assert_eq!(resumed.status, RunStatus::Interrupted);
        assert_eq!(resumed.config["eval_every"], json!(7));
        assert_eq!(resumed.config["gradient_checkpointing"], json!(true));
        assert_eq!(resumed.config["seed"], before["seed"], "what changes weights stays");
        place.app.forget_runs().await;
    }
}

on_both_databases! {
    async fn scores_are_normalised_only_of_a_model_that_says_how_they_are_spread(database: TestDb) {
        let place = Place::new(database).await;
        place.model("the-base", ModelKind::Base, None).await;
        // Trained before that was measured.
        place.reward_model("the-judge", 0.8, (0.7, 0.9), 40).await;
        let address = format!("{}/runs/new/grpo", place.project);
        let form = place.engineer.get(&address).await.form(&address);
        assert_eq!(form.value("normalize_scores"), Some("false"));
        let refused = place.engineer.try_submit(form.with("normalize_scores", "true")).await;
        assert_eq!(refused.status, 422);
        let said = refused.texts("#normalize_scores-error");
        assert!(said.len() == 1 && said[0].contains("does not say how its scores are spread"), "{said:?}");
    }
}

on_both_databases! {
    async fn how_much_better_an_answer_is_matters_to_a_reward_model_alone(database: TestDb) {
        let place = Place::new(database).await;
        for (kind, asked) in [("reward", vec!["How much better"]), ("dpo", vec![]), ("kto", vec![])] {
            let form = place.engineer.get(&format!("{}/runs/new/{kind}", place.project)).await;
            assert_eq!(form.texts("label[for=margins]"), asked);
        }
    }
}
