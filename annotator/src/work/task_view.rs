//! What a task page shows, whatever its kind.

use crate::{
    data::{formats::row::MOST_MESSAGES, prompts},
    web::{
        form::FieldErrors,
        i18n::Language,
        shown_text::{self, ShownText},
    },
    work::form::TaskForm,
};
use entity::{
    assignment::AssignmentState,
    conversation::{MessageRole, PromptBody},
};

/// What a task page of any kind shows.
pub struct TaskView {
    pub url: String,
    pub conversation: Vec<ConversationTurn>,
    /// Blank when there are none.
    pub guidelines: ShownText,
    pub state: AssignmentState,
    /// It was taken back because something of it was erased.
    pub is_erased: bool,
    /// The answer before this one, for another look.
    pub previous: Option<String>,
    /// What the form holds: as just typed, else the draft, else the last answer.
    pub form: TaskForm,
    pub errors: FieldErrors,
    /// The answer as it will be shown, if that was asked for.
    pub preview: Option<ShownText>,
    /// What another window has stored, while the form holds something else.
    pub other: Option<OtherText>,
    /// The form holds what was just sent and is not stored.
    pub is_unsaved: bool,
    /// The version of the assignment that this page has seen.
    pub version: i64,
    /// Values and words of the reasons for a skip.
    pub skip_reasons: Vec<(&'static str, String)>,
    /// A fresh key for the submit that this page will make.
    pub idempotency_key: String,
}

impl TaskView {
    /// Already answered or skipped: this page changes that.
    pub fn is_revision(&self) -> bool {
        use AssignmentState::{Extra, Skipped, Submitted};
        matches!(self.state, Submitted | Extra | Skipped)
    }

    pub fn is_leased(&self) -> bool {
        self.state == AssignmentState::Leased
    }

    /// Taken back because time ran out.
    pub fn is_expired(&self) -> bool {
        self.state == AssignmentState::Expired && !self.is_erased
    }
}

/// What another window has stored of a task, to be shown beside what this one holds.
pub struct OtherText {
    /// As somebody reads it.
    pub text: String,
    /// Its fields as JSON, for a script to fill in.
    pub fields: String,
    /// When it was stored.
    pub at: String,
    /// It was sent, and is no draft.
    pub is_answer: bool,
}

impl OtherText {
    /// By which pages tell one from the other.
    pub fn kind(&self) -> &'static str {
        if self.is_answer { "answer" } else { "draft" }
    }
}

/// One message of the prompt.
pub struct ConversationTurn {
    pub class: &'static str,
    pub speaker: String,
    pub text: ShownText,
}

/// A prompt as it is shown: from its canonical JSON, none when it was removed. One that is plain text
/// is shown as it is: a model reads it so.
pub async fn conversation(
    language: Language,
    canonical_json: Option<&str>,
) -> Vec<ConversationTurn> {
    let turn = |class, key, text| ConversationTurn {
        class,
        speaker: language.text(key).to_string(),
        text,
    };
    let Some(json) = canonical_json else {
        let removed = ShownText::plain(language.text("text-removed").to_string());
        return vec![turn("user", "speaker-user", removed)];
    };
    let messages = match prompts::parse(json) {
        PromptBody::Text(text) => {
            return vec![turn("user", "speaker-plain-text", ShownText::plain(text))];
        }
        PromptBody::Messages(messages) => messages,
    };
    let n_more = messages.len().saturating_sub(MOST_MESSAGES);
    let messages = messages.into_iter().take(MOST_MESSAGES);
    let (speakers, texts): (Vec<_>, Vec<_>) =
        messages.map(|message| (speaker(message.role), message.content)).unzip();
    let shown = shown_text::markdown_all(texts).await;
    let turns = speakers.into_iter().zip(shown).map(|((class, key), text)| turn(class, key, text));
    // What was brought in before there was a bound.
    let more = (n_more > 0).then(|| {
        let said = language.text("conversation-goes-on").arg("n", n_more).to_string();
        turn("system", "speaker-left-out", ShownText::plain(said))
    });
    turns.chain(more).collect()
}

/// Class and Fluent key.
fn speaker(role: MessageRole) -> (&'static str, &'static str) {
    match role {
        MessageRole::System => ("system", "speaker-system"),
        MessageRole::User => ("user", "speaker-user"),
        MessageRole::Assistant => ("assistant", "speaker-assistant"),
    }
}
