//! Erasing again what the list of erasures names, in a database that is restored from an older backup.

use crate::keeping::erasure::{
    ErasureOrder,
    journal::JournalLine,
    people::{self, WrittenTexts},
    texts,
};
use entity::{account, erasure::ErasureKind};
use sea_orm::{ConnectionTrait, EntityTrait};
use std::collections::BTreeMap;

/// Erases again what these lines say, in the transaction of a restore; how many there were to erase.
pub(crate) async fn repeat(
    turn: &impl ConnectionTrait,
    lines: Vec<JournalLine>,
) -> anyhow::Result<usize> {
    // Of lines of the same, the last; texts and words in guidelines go if any says so.
    let mut last = BTreeMap::<_, JournalLine>::new();
    for mut line in lines {
        let subject = (line.kind == ErasureKind::Account, line.subject.clone());
        if let Some(before) = last.get(&subject) {
            line.texts_left |= before.texts_left;
            line.guidelines |= before.guidelines;
            line.with_person &= before.with_person;
        }
        last.insert(subject, line);
    }
    let mut n_erased = 0;
    for line in last.into_values() {
        let by = match line.erased_by {
            Some(id) => account::Entity::find_by_id(id).one(turn).await?.map(|account| account.id),
            None => None,
        };
        let written = if line.texts_left { WrittenTexts::Go } else { WrittenTexts::Stay };
        let (guidelines, with_person) = (line.guidelines, line.with_person);
        let (reason, at) = (line.reason, line.erased_at);
        let order = ErasureOrder { reason, by, at, guidelines, with_person };
        n_erased += usize::from(match line.kind {
            ErasureKind::Text => texts::erase_one(turn, &line.subject, &order).await?,
            ErasureKind::Account => match line.subject.parse() {
                Ok(id) => people::erase_one(turn, id, &order, written).await?,
                Err(_) => false,
            },
        });
    }
    Ok(n_erased)
}
