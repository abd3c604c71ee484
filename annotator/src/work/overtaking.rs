//! A task may be open in several windows, and a window may be old: it says which version of the
//! assignment it has seen, and what it stores must be newer than everything that it has not seen.
//!
//! **Invariant:** `assignment.draft_version` grows with every draft and every answer that is stored,
//! in the same transaction.

use crate::work::{
    assignment::LockedAssignment,
    form::{TaskForm, WindowState},
};
use entity::draft;

/// How what a window sends stands to what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The window has seen everything that is stored, or wrote it itself.
    Newer,
    /// The window has sent something later, which is stored already.
    Late,
    /// Another window has stored something else that this one has not seen.
    Overtaken,
}

/// How a window that sends `typed` stands to what is stored of an assignment.
pub fn standing(held: &LockedAssignment, window: &WindowState, typed: &TaskForm) -> Standing {
    if window.seen == Some(held.draft_version) {
        return Standing::Newer;
    }
    let Some(draft) = &held.draft else {
        // Then an answer was stored meanwhile, unless nobody said what they had seen.
        let has_seen_less = window.seen.is_some();
        return if has_seen_less { Standing::Overtaken } else { Standing::Newer };
    };
    if form_of(draft) == *typed {
        return Standing::Newer;
    }
    let is_own = !window.name.is_empty() && draft.written_by == window.name;
    if is_own && draft.n_writes >= window.n_writes {
        Standing::Late
    } else if is_own {
        Standing::Newer
    } else {
        Standing::Overtaken
    }
}

/// What a draft holds. Only this program writes drafts: what cannot be read would hold nothing.
pub fn form_of(draft: &draft::Model) -> TaskForm {
    serde_json::from_str::<TaskForm>(&draft.body).unwrap_or_default().into_draft()
}
