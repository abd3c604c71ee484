//! Texts by words of theirs, and the copies of a text, however they are spelt.

use crate::keeping::erasure::{alike, elsewhere};
use entity::text;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect,
    sea_query::{Expr, SimpleExpr},
};

/// Texts that are read at once.
const READ_AT_ONCE: u64 = 200;

/// The texts in which some words stand, and the text of that hash: so many at the most, the newest
/// first, or those that come after one. How letters are composed, whether they are large or small,
/// and how blanks are set makes no difference.
pub async fn find(
    db: &impl ConnectionTrait,
    words: &str,
    after: Option<&text::Model>,
    n: usize,
) -> Result<Vec<text::Model>, DbErr> {
    let wanted = alike::caseless(words);
    let may_hold = may_hold(db.get_database_backend(), words).add(text::Column::Hash.eq(words));
    let mut last = after.map(|text| (text.created_at, text.hash.clone()));
    let mut found = Vec::new();
    loop {
        let later = last.as_ref().map(|(created_at, hash)| {
            let same_time = Condition::all()
                .add(text::Column::CreatedAt.eq(*created_at))
                .add(text::Column::Hash.lt(hash));
            Condition::any().add(text::Column::CreatedAt.lt(*created_at)).add(same_time)
        });
        let read = text::Entity::find()
            .filter(may_hold.clone())
            .filter(Condition::all().add_option(later))
            .order_by_desc(text::Column::CreatedAt)
            .order_by_desc(text::Column::Hash)
            .limit(READ_AT_ONCE)
            .all(db)
            .await?;
        let is_last = (read.len() as u64) < READ_AT_ONCE;
        for text in read {
            last = Some((text.created_at, text.hash.clone()));
            if text.hash == words
                || text.body.as_ref().is_some_and(|body| alike::holds(body, &wanted))
            {
                found.push(text);
                if found.len() == n {
                    return Ok(found);
                }
            }
        }
        if is_last {
            return Ok(found);
        }
    }
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

/// The texts that differ from one only by their blanks, or by how their letters are composed.
pub(super) async fn copies(db: &impl ConnectionTrait, hash: &str) -> Result<Vec<String>, DbErr> {
    let text = text::Entity::find_by_id(hash).one(db).await?;
    let Some(body) = text.and_then(|text| text.body) else { return Ok(Vec::new()) };
    // Of a conversation the longest message: JSON writes the lines of its texts in its own way.
    let messages = elsewhere::messages(&body).into_iter().map(|message| message.content);
    let telling = messages.max_by_key(String::len).unwrap_or_else(|| body.clone());
    let signs = alike::signs(&telling);
    let holds = signs.iter().fold(Condition::any(), |any, sign| any.add(body_with(db, sign)));
    let candidates = text::Entity::find().filter(text::Column::Hash.ne(hash)).filter(holds);
    let spelt = alike::spelt(&body);
    let is_copy =
        |other: &text::Model| other.body.as_ref().is_some_and(|other| alike::spelt(other) == spelt);
    let found = candidates.all(db).await?;
    Ok(found.into_iter().filter(is_copy).map(|other| other.hash).collect())
}

fn body_with(db: &impl ConnectionTrait, words: &str) -> SimpleExpr {
    match db.get_database_backend() {
        DbBackend::Postgres => Expr::cust_with_values("position($1 in body) > 0", [words]),
        _ => Expr::cust_with_values("instr(body, ?) > 0", [words]),
    }
}
