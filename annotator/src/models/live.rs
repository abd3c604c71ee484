//! Models that answer live: a `trainer serve` as a child process for each model that somebody talks
//! to. It starts with the first question and ends when nobody has asked for a while, when another
//! model needs its place, or with this program.
//!
//! Only this program knows where it listens (a free port of this machine) and its key.

mod server;

use actix_web::web::Bytes;
use entity::{ids::ModelId, message::KeyedMessage, model};
use futures_util::{
    FutureExt, Stream,
    future::{BoxFuture, Shared},
};
use server::Server;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use storage::artifact_store::ArtifactStore;
use tokio::task::JoinError;

/// How long a model is kept after its last answer.
const IDLE: Duration = Duration::from_secs(600);

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelUnavailable {
    /// The service was started with `--live-models 0`.
    #[error("this service was started with --live-models 0: it loads no model to talk to")]
    Off,
    #[error("{0} models are answering now; try again when one of them is done")]
    Busy(usize),
    /// The trainer is missing, or gave up; in its own words.
    #[error("{0}")]
    Failed(KeyedMessage),
}

type Starting = Shared<BoxFuture<'static, Result<Arc<Server>, ModelUnavailable>>>;

/// A model that is loaded or is being loaded.
struct Place {
    model: ModelId,
    server: Starting,
    usage: Arc<Mutex<Usage>>,
}

struct Usage {
    n_answers: usize,
    since: Instant,
}

/// Keeps a model from being put away while it answers.
struct InUse(Arc<Mutex<Usage>>);

impl InUse {
    fn of(place: &Place) -> Self {
        lock(&place.usage).n_answers += 1;
        Self(Arc::clone(&place.usage))
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let mut usage = lock(&self.0);
        usage.n_answers -= 1;
        usage.since = Instant::now();
    }
}

impl Place {
    fn is_idle(&self) -> bool {
        lock(&self.usage).n_answers == 0
    }

    fn since(&self) -> Instant {
        lock(&self.usage).since
    }

    /// A process that ended, or never came to answer, is started again at the next question.
    fn has_ended(&self) -> bool {
        match self.server.peek() {
            Some(Ok(server)) => server.has_ended(),
            Some(Err(_)) => true,
            None => false,
        }
    }
}

/// An answer as `trainer serve` gives it, whole or in pieces.
pub struct Answer {
    response: reqwest::Response,
    in_use: InUse,
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub fn content_type(&self) -> String {
        let kind = self.response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        kind.unwrap_or("application/json").to_owned()
    }

    /// The body as it comes. Dropping it stops the model at the next token.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, reqwest::Error>> {
        let Self { response, in_use } = self;
        async_stream::stream! {
            let _in_use = in_use;
            for await piece in response.bytes_stream() {
                yield piece;
            }
        }
    }

    pub async fn json(self) -> reqwest::Result<serde_json::Value> {
        self.response.json().await
    }
}

pub struct LiveModels {
    store: ArtifactStore,
    /// `--trainer`; none looks beside this executable.
    trainer: Option<PathBuf>,
    /// Models at once.
    most: usize,
    places: Mutex<Vec<Place>>,
    client: reqwest::Client,
}

impl LiveModels {
    pub fn new(store: ArtifactStore, trainer: Option<PathBuf>, most: usize) -> Self {
        // The machine's proxy has no part in what two programs of one machine say to each other.
        let client = reqwest::Client::builder().no_proxy().build().unwrap_or_default();
        Self { store, trainer, most, places: Mutex::default(), client }
    }

    /// Whether models can be talked to at all.
    pub fn is_on(&self) -> bool {
        self.most > 0
    }

    /// Sends a model a request of OpenAI's chat API. The first one waits until the model is loaded.
    pub async fn ask(&self, model: &model::Model, body: Bytes) -> Result<Answer, ModelUnavailable> {
        let (server, in_use) = self.place(model)?;
        let server = server.await?;
        let request = self.client.post(server.url()).bearer_auth(server.key());
        let sent = request.header("content-type", "application/json").body(body).send().await;
        match sent {
            Ok(response) => Ok(Answer { response, in_use }),
            Err(error) => {
                tracing::warn!(model = model.name, %error, "a live model does not answer");
                Err(ModelUnavailable::Failed(server.last_words()))
            }
        }
    }

    /// The model's place, made if it has none, and held.
    fn place(&self, model: &model::Model) -> Result<(Starting, InUse), ModelUnavailable> {
        let mut places = lock(&self.places);
        places.retain(|place| !place.has_ended());
        if let Some(place) = places.iter().find(|place| place.model == model.id) {
            return Ok((place.server.clone(), InUse::of(place)));
        }
        self.make_room(&mut places)?;
        let place = self.start(model);
        let found = (place.server.clone(), InUse::of(&place));
        places.push(place);
        Ok(found)
    }

    /// Puts away whatever has been silent longest, if there is no room.
    fn make_room(&self, places: &mut Vec<Place>) -> Result<(), ModelUnavailable> {
        if self.most == 0 {
            return Err(ModelUnavailable::Off);
        }
        if places.len() >= self.most {
            let idle = places.iter().enumerate().filter(|(_, place)| place.is_idle());
            let (silent, _) = idle
                .min_by_key(|(_, place)| place.since())
                .ok_or(ModelUnavailable::Busy(self.most))?;
            places.swap_remove(silent);
        }
        Ok(())
    }

    /// Loads on a task of its own, so that it goes on when the person who asked first leaves.
    fn start(&self, model: &model::Model) -> Place {
        let (trainer, name) = (self.trainer.clone(), model.name.clone());
        let (store, hash) = (self.store.clone(), model.artifact_hash.clone());
        let loading = tokio::spawn(async move {
            let folder = tokio::task::spawn_blocking(move || store.open_whole(&hash)).await;
            let folder = folder
                .map_err(broken_off)?
                .map_err(|problem| ModelUnavailable::Failed(problem.of(name.as_str())))?;
            Server::start(trainer, folder, name).await
        });
        let server = loading.map(|loaded| match loaded {
            Ok(server) => server.map(Arc::new),
            Err(error) => Err(broken_off(error)),
        });
        Place {
            model: model.id,
            server: server.boxed().shared(),
            usage: Arc::new(Mutex::new(Usage { n_answers: 0, since: Instant::now() })),
        }
    }

    /// Ends a model's process, whoever it answers: its files are about to go.
    pub fn put_away(&self, model: ModelId) {
        lock(&self.places).retain(|place| place.model != model);
    }

    /// Ends all of them.
    pub fn put_all_away(&self) {
        lock(&self.places).clear();
    }

    /// Puts models away that nobody has talked to for a while. Never returns.
    pub async fn put_idle_away(&self) {
        loop {
            tokio::time::sleep(IDLE / 20).await;
            let is_wanted = |place: &Place| !place.is_idle() || place.since().elapsed() < IDLE;
            lock(&self.places).retain(is_wanted);
        }
    }
}

fn broken_off(error: JoinError) -> ModelUnavailable {
    ModelUnavailable::Failed(KeyedMessage::technical(error.to_string()))
}

/// What a lock guards here is whole between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
