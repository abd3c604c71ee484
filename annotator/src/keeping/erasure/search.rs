//! Texts by words of theirs, and the copies of a text, however they are spelt. What the database
//! cannot tell is looked at beside the threads that serve, a bounded part at a time: a common word
//! stands in every other text.

use crate::{
    data::{prompts, texts::beginning},
    keeping::erasure::{alike, elsewhere},
};
use entity::{text, time::UnixMillis};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait, SimpleExpr},
};
use std::{collections::BTreeSet, sync::Arc};
use tokio::task::spawn_blocking;

/// Texts that are listed at once.
const LISTED_AT_ONCE: u64 = 500;

/// Bytes of texts that are read at once, unless one alone has more.
const BYTES_AT_ONCE: i64 = 4 << 20;

/// A text that was found.
#[derive(Clone, Debug)]
pub struct FoundText {
    pub hash: String,
    pub created_at: UnixMillis,
    /// How it begins; none of one that was erased.
    pub beginning: Option<String>,
}

impl FoundText {
    fn of(text: text::Model) -> Self {
        let shown = |body: String| beginning(&prompts::headline(prompts::parse(&body)));
        Self { hash: text.hash, created_at: text.created_at, beginning: text.body.map(shown) }
    }

    /// Where it stands among all, the newest first.
    pub fn place(&self) -> TextPlace {
        (self.created_at, self.hash.clone())
    }
}

/// When a text was made, and its hash.
pub type TextPlace = (UnixMillis, String);

/// The texts in which some words stand, and the text of that hash: so many at the most, the newest
/// first, or those that come after one. How letters are composed, whether they are large or small,
/// and how blanks are set makes no difference.
pub async fn find(
    db: &impl ConnectionTrait,
    words: &str,
    after: Option<TextPlace>,
    n: usize,
) -> anyhow::Result<Vec<FoundText>> {
    let may_hold = may_hold(db.get_database_backend(), words).add(text::Column::Hash.eq(words));
    let (wanted, hash) = (alike::caseless(words), words.to_owned());
    let holds = move |text: &text::Model| {
        text.hash == hash || text.body.as_ref().is_some_and(|body| alike::holds(body, &wanted))
    };
    look_through(db, may_hold, after, n, holds).await
}

/// The texts that differ from one only by their blanks, or by how their letters are composed.
pub async fn copies(db: &impl ConnectionTrait, hash: &str) -> anyhow::Result<Vec<FoundText>> {
    let text = text::Entity::find_by_id(hash).one(db).await?;
    let Some(body) = text.and_then(|text| text.body) else { return Ok(Vec::new()) };
    let signs_and_text = move || {
        // Of a conversation the longest message: JSON writes the lines of its texts in its own way.
        let messages = elsewhere::messages(&body).into_iter().map(|message| message.content);
        let telling = messages.max_by_key(String::len).unwrap_or_else(|| body.clone());
        (alike::signs(&telling), alike::RowText::of(body))
    };
    let (signs, text) = spawn_blocking(signs_and_text).await?;
    let holds = with_any(db, &signs);
    let others = Condition::all().add(text::Column::Hash.ne(hash)).add(holds);
    let is_copy = move |other: &text::Model| {
        other.body.as_ref().is_some_and(|body| text.is_alike(&alike::RowText::of(body.clone())))
    };
    look_through(db, others, None, usize::MAX, is_copy).await
}

/// How some texts begin, the newest first.
pub async fn beginnings(
    db: &impl ConnectionTrait,
    hashes: &[String],
) -> anyhow::Result<Vec<FoundText>> {
    let these = Condition::all().add(text::Column::Hash.is_in(hashes));
    look_through(db, these, None, usize::MAX, |_| true).await
}

/// The candidates that pass, so many at the most, the newest first.
async fn look_through(
    db: &impl ConnectionTrait,
    candidates: Condition,
    after: Option<TextPlace>,
    n: usize,
    passes: impl Fn(&text::Model) -> bool + Send + Sync + 'static,
) -> anyhow::Result<Vec<FoundText>> {
    let (passes, mut after, mut found) = (Arc::new(passes), after, Vec::new());
    loop {
        let listed = list(db, &candidates, after).await?;
        let mut rest = &listed[..];
        while !rest.is_empty() {
            let mut n_bytes = 0;
            let fits = |(.., more): &&ListedText| {
                n_bytes += more;
                n_bytes <= BYTES_AT_ONCE
            };
            let n_read = rest.iter().take_while(fits).count().max(1);
            let (some, left) = rest.split_at(n_read);
            rest = left;
            let read = text::Entity::find()
                .filter(text::Column::Hash.is_in(some.iter().map(|(_, hash, _)| hash)))
                .order_by_desc(text::Column::CreatedAt)
                .order_by_desc(text::Column::Hash)
                .all(db)
                .await?;
            let passes = passes.clone();
            let looking = move || {
                let passing = read.into_iter().filter(|text| passes(text));
                passing.map(FoundText::of).collect::<Vec<_>>()
            };
            found.extend(spawn_blocking(looking).await?);
            if found.len() >= n {
                found.truncate(n);
                return Ok(found);
            }
        }
        if (listed.len() as u64) < LISTED_AT_ONCE {
            return Ok(found);
        }
        after = listed.into_iter().next_back().map(|(created_at, hash, _)| (created_at, hash));
    }
}

/// When a text was made, its hash, and how many bytes it has.
type ListedText = (UnixMillis, String, i64);

async fn list(
    db: &impl ConnectionTrait,
    candidates: &Condition,
    after: Option<TextPlace>,
) -> Result<Vec<ListedText>, DbErr> {
    let place = [text::Column::CreatedAt.into_expr(), text::Column::Hash.into_expr()];
    let later = after.map(|(created_at, hash)| {
        Expr::tuple(place).lt(Expr::tuple([Expr::val(created_at), Expr::val(hash)]))
    });
    text::Entity::find()
        .select_only()
        .column(text::Column::CreatedAt)
        .column(text::Column::Hash)
        .expr(Expr::cust("CAST(coalesce(octet_length(body), 0) AS bigint)"))
        .filter(candidates.clone())
        .filter(Condition::all().add_option(later))
        .order_by_desc(text::Column::CreatedAt)
        .order_by_desc(text::Column::Hash)
        .limit(LISTED_AT_ONCE)
        .into_tuple()
        .all(db)
        .await
}

/// Whether the words may stand in a text: what the database can tell, which knows neither letters
/// nor their forms.
fn may_hold(backend: DbBackend, words: &str) -> Condition {
    let any = Condition::any();
    let patterns = alike::caseless_signs(words);
    if patterns.is_empty() {
        return any.add(text::Column::Body.is_not_null());
    }
    patterns.into_iter().fold(any, |any, pattern| {
        any.add(match backend {
            DbBackend::Postgres => Expr::cust_with_values("body ~ $1", [pattern.regular()]),
            _ => Expr::cust_with_values("body GLOB ?", [pattern.glob()]),
        })
    })
}

/// Rows whose body may hold words, however they are spelt.
pub(super) fn body_like(db: &impl ConnectionTrait, words: &str) -> Condition {
    with_any(db, &alike::signs(words))
}

fn with_any(db: &impl ConnectionTrait, signs: &BTreeSet<String>) -> Condition {
    signs.iter().fold(Condition::any(), |any, sign| any.add(body_with(db, sign)))
}

fn body_with(db: &impl ConnectionTrait, words: &str) -> SimpleExpr {
    match db.get_database_backend() {
        DbBackend::Postgres => Expr::cust_with_values("position($1 in body) > 0", [words]),
        _ => Expr::cust_with_values("instr(body, ?) > 0", [words]),
    }
}
