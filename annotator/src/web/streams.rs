//! How many streams a person may have open at once: each holds a connection and a place in memory for
//! as long as the other side likes.

use crate::web::error::AppError;
use entity::ids::AccountId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Two browsers' worth: one allows six connections to a host.
const MOST_OF_ONE_PERSON: usize = 12;

type Counts = Arc<Mutex<HashMap<AccountId, usize>>>;

/// Who has how many streams open in this process.
#[derive(Clone, Default)]
pub struct OpenStreams(Counts);

/// A stream that is open until this is dropped.
pub struct OpenStream {
    account: AccountId,
    counts: Counts,
}

impl OpenStreams {
    /// Counts one more; an error when the person has as many as they may.
    pub fn open(&self, account: AccountId) -> Result<OpenStream, AppError> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(account).or_default();
        if *count >= MOST_OF_ONE_PERSON {
            return Err(AppError::TooManyStreams);
        }
        *count += 1;
        Ok(OpenStream { account, counts: self.0.clone() })
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.account) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_has_so_many_streams_and_others_theirs() {
        let (streams, anna, boris) = (OpenStreams::default(), AccountId::new(), AccountId::new());
        let mut open: Vec<_> =
            (0..MOST_OF_ONE_PERSON).map(|_| streams.open(anna).unwrap()).collect();
        assert!(matches!(streams.open(anna), Err(AppError::TooManyStreams)));
        assert!(streams.open(boris).is_ok());
        open.pop();
        assert!(streams.open(anna).is_ok());
        drop(open);
        assert!(streams.0.lock().unwrap().is_empty());
    }
}
