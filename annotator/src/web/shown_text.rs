//! Texts of people and models as pages show them, whatever they are: laid out as Markdown beside the
//! requests, within a deadline, or as they were written.

use crate::web::{i18n::Language, markdown};
use entity::hash::sha256_hex;
use quick_cache::{Weighter, sync::Cache};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
    time::Duration,
};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

/// How long the texts of one page may take; what is not laid out by then is shown as it was written.
const DEADLINE: Duration = Duration::from_secs(2);

/// Bytes of one page's texts that are laid out: the first. The rest is shown as it was written.
const LAID_OUT_BYTES: usize = 4 * markdown::MAX_BYTES;

/// Bytes of HTML that are kept for the next page that shows the same text.
const KEPT_BYTES: u64 = 32 << 20;

/// Texts that wait to be laid out, of all pages together.
const WAITING: usize = 4096;

const THREADS: usize = 2;

/// Formulas are parsed by functions that call themselves.
const STACK_BYTES: usize = 32 << 20;

/// The HTML of a text; none for one that cannot be laid out.
type LaidOut = Option<Arc<str>>;

static LAYOUTS: LazyLock<Layouts> = LazyLock::new(|| Layouts::new(markdown::to_html, DEADLINE));

/// A text as a page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownText {
    written: String,
    laid_out: LaidOut,
    /// It would have been laid out, and cannot be.
    is_given_up: bool,
}

impl ShownText {
    /// As it was written.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { written: text.into(), laid_out: None, is_given_up: false }
    }

    pub fn is_blank(&self) -> bool {
        self.written.trim().is_empty()
    }

    /// The HTML: laid out, and as it was written, of which the style sheet shows one.
    pub fn html(&self, language: Language) -> String {
        let mut html = String::with_capacity(self.written.len() * 2);
        if let Some(laid_out) = &self.laid_out {
            html.push_str("<div class=\"prose\">");
            html.push_str(laid_out);
            html.push_str("</div>");
        }
        // A parser of HTML drops the first line end of this element, and turns a CR into a line end.
        html.push_str("<pre class=\"written\" dir=\"auto\">\n");
        for letter in self.written.chars() {
            match letter {
                '&' => html.push_str("&amp;"),
                '<' => html.push_str("&lt;"),
                '>' => html.push_str("&gt;"),
                '\r' => html.push_str("&#13;"),
                letter => html.push(letter),
            }
        }
        html.push_str("</pre>");
        if self.is_given_up {
            let why = language.text("text-not-laid-out").to_string();
            html.push_str(&format!("<p class=\"hint\">{why}</p>"));
        }
        html
    }
}

/// A text that is Markdown.
pub async fn markdown(text: &str) -> ShownText {
    LAYOUTS.shown(vec![text.to_owned()]).await.pop().unwrap_or_else(|| ShownText::plain(text))
}

/// The texts of a page, which share its deadline.
pub async fn markdown_all(texts: Vec<String>) -> Vec<ShownText> {
    LAYOUTS.shown(texts).await
}

/// Texts that are compared: all are laid out, or none is.
pub async fn markdown_alike(texts: Vec<String>) -> Vec<ShownText> {
    alike(LAYOUTS.shown(texts).await)
}

fn alike(mut texts: Vec<ShownText>) -> Vec<ShownText> {
    if texts.iter().any(|text| text.is_given_up) {
        for text in &mut texts {
            (text.laid_out, text.is_given_up) = (None, true);
        }
    }
    texts
}

/// Threads that lay texts out, and what they made of the last ones.
struct Layouts {
    waiting: SyncSender<Waiting>,
    known: Arc<Cache<String, LaidOut, ByBytes>>,
    deadline: Duration,
}

struct Waiting {
    text: String,
    hash: String,
    tell: oneshot::Sender<LaidOut>,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<String, LaidOut> for ByBytes {
    fn weight(&self, hash: &String, html: &LaidOut) -> u64 {
        (hash.len() + html.as_ref().map_or(0, |html| html.len())) as u64
    }
}

impl Layouts {
    fn new(lay_out: fn(&str) -> Option<String>, deadline: Duration) -> Self {
        let (waiting, jobs) = mpsc::sync_channel::<Waiting>(WAITING);
        let jobs = Arc::new(Mutex::new(jobs));
        let known = Arc::new(Cache::with_weighter(4096, KEPT_BYTES, ByBytes));
        for _ in 0..THREADS {
            let (jobs, known) = (jobs.clone(), known.clone());
            let thread = thread::Builder::new().name("layout".to_owned()).stack_size(STACK_BYTES);
            // Without a thread, every text is shown as it was written.
            let started = thread.spawn(move || work(&jobs, &known, lay_out));
            if let Err(error) = started {
                tracing::warn!(%error, "texts cannot be laid out");
            }
        }
        Self { waiting, known, deadline }
    }

    async fn shown(&self, texts: Vec<String>) -> Vec<ShownText> {
        let deadline = Instant::now() + self.deadline;
        let mut left = LAID_OUT_BYTES;
        let asked: Vec<_> = texts
            .iter()
            .map(|text| {
                left = left.checked_sub(text.len())?;
                Some(self.ask(text))
            })
            .collect();
        let mut shown = Vec::with_capacity(texts.len());
        for (written, asked) in texts.into_iter().zip(asked) {
            let laid_out = match asked {
                Some(Ok(known)) => known,
                Some(Err(told)) => {
                    timeout_at(deadline, told).await.ok().and_then(Result::ok).flatten()
                }
                None => None,
            };
            let is_given_up = laid_out.is_none();
            shown.push(ShownText { written, laid_out, is_given_up });
        }
        shown
    }

    /// What is known of a text, or where it will be told.
    fn ask(&self, text: &str) -> Result<LaidOut, oneshot::Receiver<LaidOut>> {
        if text.len() > markdown::MAX_BYTES {
            return Ok(None);
        }
        let hash = sha256_hex(text);
        if let Some(known) = self.known.get(&hash) {
            return Ok(known);
        }
        let (tell, told) = oneshot::channel();
        // When too many wait, nobody tells, and the text is shown as it was written.
        drop(self.waiting.try_send(Waiting { text: text.to_owned(), hash, tell }));
        Err(told)
    }
}

/// Lays out one text after the other, until nobody can ask any more.
fn work(
    jobs: &Mutex<Receiver<Waiting>>,
    known: &Cache<String, LaidOut, ByBytes>,
    lay_out: fn(&str) -> Option<String>,
) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Waiting { text, hash, tell }) = job else { return };
        if tell.is_closed() {
            continue; // its page was sent without it
        }
        let html = catch_unwind(AssertUnwindSafe(|| lay_out(&text))).unwrap_or_else(|_| {
            tracing::error!(hash, "laying out a text panicked");
            None
        });
        let html: LaidOut = html.map(Arc::from);
        known.insert(hash, html.clone());
        drop(tell.send(html));
    }
}

#[cfg(test)]
mod tests;
