//! **What the page of a PPO run may say**: that the policy has become better, where its reward model
//! knows the taste; and that it has grown longer, where the reward model loves length. Simulated people
//! made both of comparisons of the same answers.
//!
//! `ATTUNE_VERDICTS=5` tries five seeds, which takes longer than the suite has time for.

use crate::support::{
    app::{TestApp, Worker},
    builders::add_finished_run,
    chats::{Chats, run},
    database::TestDb,
    trainer::{read_lines, reports, write_lines},
    world::taste,
};
use entity::{run::RunKind, run_config::PpoConfig};
use serde_json::{Value, json};
use std::path::Path;

const N_PROMPTS: usize = 400;
const N_HELD_OUT: usize = 60;

/// One that loves length and one that knows the taste, of the same beginnings.
struct Desk {
    chats: Chats,
    sft: String,
    seed: u64,
}

impl Desk {
    fn new(seed: u64) -> Self {
        let chats = Chats::new(seed, N_PROMPTS);
        let sft = chats.sft();
        Self { chats, sft, seed }
    }

    /// What PPO reports that follows people who compare by this.
    fn ppo(&self, name: &str, worth: impl Fn(&str) -> f64) -> Vec<Value> {
        let pairs = self.chats.preferences_by(&format!("{name}.jsonl"), worth);
        let [reward, out, train, held_out] = ["reward", "policy", "train.jsonl", "eval.jsonl"]
            .map(|of| self.chats.path(&format!("{name}-{of}")));
        let seed = format!("--seed {} --save-every 0 --max-length 128", self.seed);
        let paths = ["reward", "--model", &self.sft, "--data", &pairs, "--out", &reward];
        run(&paths, &format!("--learning-rate 0.001 {seed}"));
        let prompts = read_lines(Path::new(&self.chats.prompts()));
        write_lines(Path::new(&train), prompts[N_HELD_OUT..].iter().cloned());
        write_lines(Path::new(&held_out), prompts[..N_HELD_OUT].iter().cloned());
        let paths = [
            "ppo",
            "--policy",
            &self.sft,
            "--reward",
            &reward,
            "--prompts",
            &train,
            "--eval-prompts",
            &held_out,
            "--out",
            &out,
        ];
        let settings = format!(
            "--learning-rate 0.0003 --batch-size 48 --episodes 1152 --response-length 48 {seed}"
        );
        reports(paths.into_iter().chain(settings.split(' ')))
    }
}

/// What the page of a run says at a glance that reported this.
async fn page_of(app: &TestApp, project: &str, events: &[Value]) -> (Vec<String>, String) {
    let config = json!(PpoConfig::default());
    let id = add_finished_run(&app.rows, project, RunKind::Ppo, config, events).await;
    let page = app.admin.get(&format!("{project}/runs/{id}")).await;
    (page.texts("#run-glance .finding p"), page.text())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_says_better_of_a_policy_with_a_sound_reward_model_and_not_of_one_that_grew_longer()
{
    let n: u64 = std::env::var("ATTUNE_VERDICTS").map_or(1, |n| n.parse().expect("a number"));
    let app = TestApp::start(TestDb::sqlite().await, Worker::None).await;
    let project = app.new_project("Verdicts").await;
    for seed in 1..=n {
        let desk = Desk::new(seed);
        let [by_length, by_taste] = tokio::task::block_in_place(|| {
            [desk.ppo("length", |answer| answer.len() as f64), desk.ppo("taste", taste)]
        });
        let (said, longer) = page_of(&app, &project, &by_length).await;
        eprintln!("[{seed}] by length: {said:#?}");
        assert!(!longer.to_lowercase().contains("better"), "seed {seed}: {said:#?}");
        assert!(longer.contains("length"), "seed {seed}: {said:#?}");
        let (said, better) = page_of(&app, &project, &by_taste).await;
        eprintln!("[{seed}] by taste: {said:#?}");
        assert!(better.contains("Better by its reward than"), "seed {seed}: {said:#?}");
    }
}
