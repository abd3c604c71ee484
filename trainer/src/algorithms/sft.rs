//! Supervised fine-tuning: the model learns to write people's answers (TRL: `SFTTrainer`).

mod held_out;
mod packs;

pub(crate) use packs::PackedRows;

use crate::{
    answer::show::{self, ShowSchedule, ShownPrompts},
    model::{self, AnswerTokens, PackedBatch, Transformer, head},
    run::{
        environment::ComputeEnvironment,
        estimate::RunEstimate,
        identity::{EVAL_DATA, RunIdentity, hash_of_model, hash_of_sequences},
        session::{EVALUATION_COST, SessionOpening, TrainingSession, object},
    },
};
use anyhow::Result;
use entity::{message, report::LogLevel, row_use::RowUse, run_config::SftConfig};
pub(crate) use held_out::MeasuredRows;
use serde_json::{Map, Value, json};
use std::{ops::ControlFlow, path::Path};
use tch::{Kind, Tensor};
use trainer_base::{
    job::{Report, VerbOutcome},
    progress::say,
    rows::{self, LoadedRows, RunRows, SupervisedExample},
    settings::{SftPaths, StartFlags},
    tokenizer::Tokenizer,
};

/// What a run of next-token training works on.
pub(crate) struct SftTask<'a> {
    pub(crate) kind: &'static str,
    /// What was made of the file of examples.
    pub(crate) of_file: RowUse,
    pub(crate) model: Transformer,
    pub(crate) examples: PackedRows<'a>,
    pub(crate) held_out: PackedRows<'a>,
    pub(crate) out: &'a Path,
    pub(crate) start: StartFlags,
    /// For answers that people read meanwhile; none shows none.
    pub(crate) tokenizer: Option<&'a Tokenizer>,
}

impl<'a> SftTask<'a> {
    /// What the run's session is opened with.
    fn opening(&self, config: &'a SftConfig) -> Result<SessionOpening<'a>> {
        Ok(SessionOpening {
            kind: self.kind,
            learning_rate: config.peak_learning_rate(),
            optimisation: &config.optimisation,
            identity: identity(self, config)?,
            out: self.out,
            start: self.start,
            work_of_rows: self.examples.lengths(),
            groups: None,
            work_besides: 0.0,
            work_per_evaluation: self.held_out.n_tokens() as f64 * EVALUATION_COST,
            eval_every: config.eval_every,
            best: Some(&config.best).filter(|_| !self.held_out.is_empty()),
            check_checkpoint: |_| Ok(()),
        })
    }
}

/// Fine-tunes a model on demonstrations and writes it as a Hugging Face folder.
pub fn run(paths: &SftPaths, config: &SftConfig, report: &mut Report) -> Result<VerbOutcome> {
    let (device, dtype) = (config.optimisation.device, config.optimisation.dtype);
    let Some(environment) = ComputeEnvironment::start(device, dtype, report)? else {
        return Ok(VerbOutcome::Stopped);
    };
    let tokenizer = Tokenizer::load(&paths.model)?;
    let max_length = rows::longest_sequence(&paths.model, config.max_length, report)?;
    let held_out = paths.eval_data.as_deref();
    let RunRows { learnt: LoadedRows { rows: examples, counts }, held_out } =
        rows::load_run_rows(&paths.data, held_out, report, |file, report| {
            rows::load_demonstrations(file, &tokenizer, max_length, config.loss_on, report)
        })?;
    let lengths = examples.iter().collect();
    let memory = environment.tell_forecast(&[&paths.model], config, &lengths, report);
    let pack = |rows| match config.packing {
        true => PackedRows::packed(rows, max_length),
        false => PackedRows::alone(rows),
    };
    let (examples, held_out) = (pack(&examples), pack(&held_out));
    if config.packing {
        examples.tell(max_length, report);
    }
    if paths.start.estimate {
        let (of_file, places) = (counts.of_file, |pack| examples.places(pack));
        let estimate = RunEstimate { kind: "sft", memory };
        let tokens = examples.lengths();
        return Ok(estimate.over_rows(&config.optimisation, &tokens, (of_file, places), report));
    }
    let model = environment
        .load_to_train(&paths.model, &config.lora, &config.optimisation)?
        .expect_language()?;
    if config.best.is_on() && held_out.is_empty() {
        let unknown = message!(
            "run-best-unknown",
            "no rows are held out, so that nothing says which model is the best: the last one is kept"
        );
        say(report, LogLevel::Warning, unknown);
    }
    let task = SftTask {
        of_file: counts.of_file,
        kind: "sft",
        model,
        examples,
        held_out,
        out: &paths.out,
        start: paths.start,
        tokenizer: Some(&tokenizer),
    };
    train(task, config, report)
}

/// The loop: Σ cross-entropy over the tokens of a step that are learnt / their number, whatever the
/// micro-batches (TRL: `num_items_in_batch`).
pub(crate) fn train(task: SftTask, config: &SftConfig, report: &mut Report) -> Result<VerbOutcome> {
    let opening = task.opening(config)?;
    let SftTask { of_file, model, examples, held_out, tokenizer, .. } = task;
    let batch_size = config.optimisation.batch_size;
    let mut session = TrainingSession::open(model, opening, report)?;
    session.tell_unreached(of_file, |pack| examples.places(pack), report);
    let mut schedule = ShowSchedule::new(session.batches.n_steps);

    // 1. What the model can do before it learns.
    if session.step() == 0 && !held_out.is_empty() {
        let measured = evaluate(&mut session, &held_out, batch_size, report);
        if session.report_start(measured, report).is_break() {
            return Ok(VerbOutcome::Stopped);
        }
    }
    let readable = if held_out.is_empty() { examples.rows } else { held_out.rows };
    if session.step() == 0
        && show(&mut session, readable, tokenizer, &mut schedule, report).is_break()
    {
        return Ok(VerbOutcome::Stopped);
    }
    if session.owes_measurement() {
        let measured = evaluate(&mut session, &held_out, batch_size, report);
        if session.report_owed(measured, export, report)?.is_break() {
            return Ok(VerbOutcome::Stopped);
        }
    }
    while !session.is_done() {
        // 2. Gradients of the step's micro-batches.
        let Some(sums) = learn_step(&mut session, &examples, report)? else {
            return session.stop_within_step(export);
        };
        // 3. The step.
        let mut metrics = session.update(sums.loss / sums.n)?;
        metrics.extend(object(json!({
            "num_tokens": session.journal.progress.tokens(),
            "mean_token_accuracy": sums.n_likeliest / sums.n,
            "entropy": sums.entropy / sums.n,
        })));
        // 4. What it can do now.
        if session.evaluates_now() && !held_out.is_empty() {
            match evaluate(&mut session, &held_out, batch_size, report) {
                Some(evaluated) => metrics.extend(evaluated),
                None => return session.stop(metrics, export, report),
            }
        }
        if session.report_step(metrics, export, report)?.is_break() {
            return Ok(VerbOutcome::Stopped);
        }
        // A stop waits for the next step, where a checkpoint is written.
        let _ = show(&mut session, readable, tokenizer, &mut schedule, report);
    }
    session.finish(export, report)
}

fn export(model: &Transformer, folder: &Path) -> Result<()> {
    model::save(model, folder, &Map::new())
}

/// The gradients of a step, micro-batch by micro-batch; none when asked to stop.
fn learn_step(
    session: &mut TrainingSession,
    examples: &PackedRows,
    report: &mut Report,
) -> Result<Option<LearntSums>> {
    let packs = session.micro_batches();
    let micro_batches: Vec<_> = packs.iter().map(|packs| examples.of(packs)).collect();
    let n_learnt: usize = micro_batches.iter().flatten().map(|row| row.n_learnt()).sum();
    let mut sums = LearntSums::default();
    for micro_batch in &micro_batches {
        sums += learn(session, micro_batch, n_learnt)?;
        let n_tokens = micro_batch.iter().map(|example| example.ids.len() as u64).sum();
        if session.advance(n_tokens as f64, n_tokens, report).is_break() {
            return Ok(None);
        }
    }
    Ok(Some(sums))
}

/// What the model answers now to the first prompts, if it is time.
fn show(
    session: &mut TrainingSession,
    examples: &[SupervisedExample],
    tokenizer: Option<&Tokenizer>,
    schedule: &mut ShowSchedule,
    report: &mut Report,
) -> ControlFlow<()> {
    let is_due = schedule.is_due(session.step());
    let Some(tokenizer) = tokenizer.filter(|_| is_due) else { return ControlFlow::Continue(()) };
    let prompts = examples.iter().map(|example| &example.ids[..example.prompt_len]);
    let TrainingSession { model, journal, .. } = &mut *session;
    let shown = ShownPrompts::new(model, prompts, show::MAX_NEW_TOKENS);
    let answers = schedule.show(&mut journal.progress, || shown.answers(model, tokenizer));
    shown.events(tokenizer, session.step(), &answers, None).into_iter().try_for_each(report)
}

fn identity(task: &SftTask, config: &SftConfig) -> Result<RunIdentity> {
    let mut data = hash_of_rows(task.examples.rows);
    let eval_data = hash_of_rows(task.held_out.rows);
    if config.best.is_on() {
        // As checkpoints have it that do not tell what is held out by itself.
        data += &eval_data;
    }
    let model = hash_of_model(&task.model.folder)?;
    let inputs = [("model", model), ("data", data), (EVAL_DATA, eval_data)];
    Ok(RunIdentity::new(task.kind, config, inputs))
}

fn hash_of_rows(rows: &[SupervisedExample]) -> String {
    let prompt_lengths: Vec<i64> = rows.iter().map(|row| row.prompt_len as i64).collect();
    let sequences = rows.iter().map(|row| row.ids.as_slice()).chain([prompt_lengths.as_slice()]);
    // Checkpoints are older than answers that are not all behind a prompt.
    let is_simple = |row: &SupervisedExample| {
        row.learnt.len() == 1 && row.learnt[0] == (row.prompt_len..row.ids.len())
    };
    let learnt: Vec<Vec<i64>> =
        if rows.iter().all(is_simple) { Vec::new() } else { rows.iter().map(places).collect() };
    hash_of_sequences(sequences.chain(learnt.iter().map(Vec::as_slice)))
}

/// Where what is learnt begins and ends.
fn places(example: &SupervisedExample) -> Vec<i64> {
    example.learnt.iter().flat_map(|learnt| [learnt.start as i64, learnt.end as i64]).collect()
}

/// Over the tokens that are learnt.
#[derive(Default)]
struct LearntSums {
    /// How many.
    n: f64,
    loss: f64,
    n_likeliest: f64,
    entropy: f64,
}

impl std::ops::AddAssign for LearntSums {
    fn add_assign(&mut self, other: Self) {
        self.n += other.n;
        self.loss += other.loss;
        self.n_likeliest += other.n_likeliest;
        self.entropy += other.entropy;
    }
}

impl LearntSums {
    fn new(statistics: &head::TokenStatistics) -> Self {
        let sum = |values: &Tensor| values.sum(Kind::Double).double_value(&[]);
        Self {
            n: statistics.logprobs.numel() as f64,
            loss: -sum(&statistics.logprobs),
            n_likeliest: sum(&statistics.is_likeliest),
            entropy: sum(&statistics.entropy),
        }
    }
}

fn pack(model: &Transformer, examples: &[&SupervisedExample]) -> PackedBatch {
    let sequences: Vec<&[i64]> = examples.iter().map(|example| example.ids.as_slice()).collect();
    PackedBatch::new(&sequences, model.device)
}

fn learnt_tokens(batch: &PackedBatch, examples: &[&SupervisedExample]) -> AnswerTokens {
    batch.stretches(examples.iter().map(|example| &example.learnt))
}

/// Adds the gradient of one micro-batch, of a loss that is divided by `n_learnt`.
fn learn(
    session: &mut TrainingSession,
    examples: &[&SupervisedExample],
    n_learnt: usize,
) -> Result<LearntSums> {
    let model = &session.model;
    let batch = pack(model, examples);
    let learnt = learnt_tokens(&batch, examples);
    let hidden = model.hidden(&batch).index_select(0, &learnt.rows); // (N, D)
    let statistics = head::logprobs_backward(model, &hidden, &learnt.ids, 1.0, |_, logprobs| {
        logprobs.full_like(-1.0 / n_learnt as f64)
    })?;
    session.optimizer.gather_gradients()?;
    Ok(LearntSums::new(&statistics))
}

/// Mean loss per token of the held-out rows that would be learnt; none when asked to stop.
fn evaluate(
    session: &mut TrainingSession,
    examples: &PackedRows,
    batch_size: usize,
    report: &mut Report,
) -> Option<Map<String, Value>> {
    let mut measured = MeasuredRows::default();
    for examples in examples.chunks(batch_size) {
        measured.add(&session.model, &examples);
        let work = examples.iter().map(|example| example.ids.len()).sum::<usize>() as f64;
        if session.advance(work * EVALUATION_COST, 0, report).is_break() {
            return None;
        }
    }
    let mut metrics = measured.metrics();
    match &session.journal.held_out_start {
        Some(start) => metrics.extend(measured.rows.beside(start)),
        None if session.step() == 0 => session.journal.held_out_start = Some(measured.rows.bits()),
        None => {} // It goes on from a checkpoint that is older than what is kept of the start.
    }
    Some(metrics)
}

fn measure(model: &Transformer, examples: &[&SupervisedExample]) -> head::TokenStatistics {
    let _guard = tch::no_grad_guard();
    let batch = pack(model, examples);
    let learnt = learnt_tokens(&batch, examples);
    let hidden = model.hidden(&batch).index_select(0, &learnt.rows);
    head::logprobs(model, &hidden, &learnt.ids, 1.0)
}

#[cfg(test)]
mod tests;
