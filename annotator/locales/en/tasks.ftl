submit = Submit
text-removed = (this text was removed)
answer-was-erased = Exactly this text was removed for the law before and is not kept again. Write it in other words
text-not-laid-out = This text is shown as it was written: it is too long or too entangled to be laid out.
text-as-written = As written
speaker-system = Instructions to the assistant
speaker-user = User
speaker-plain-text = Plain text that the answer continues
speaker-left-out = Not shown
conversation-goes-on = { $n ->
    [one] { $n } more message follows, more than a page shows.
   *[other] { $n } more messages follow, more than a page shows.
}
speaker-assistant = Assistant
task-prompt = Prompt
task-previous = Previous answer
task-revision = You have answered this already. A new answer replaces it; the old one is kept in the history.
task-expired = This task was handed back because nothing happened for 15 minutes. You can still submit: nothing you write is lost.
task-erased = Part of this task was removed at somebody’s request, so it is given to nobody any more. You can go on to the next task; an answer that you send all the same is kept.

demonstrate-title = Write the ideal answer
demonstrate-answer = Your answer
demonstrate-hint = Markdown is understood. Your draft is saved as you type.
demonstrate-words = Words:
demonstrate-preview = Preview
demonstrate-empty = Write an answer first
draft-save = Save draft
draft-saved = Draft saved
draft-saving = Saving…
draft-local = Not reached: your draft is kept in this browser and sent as soon as it can be
draft-ended = You have been signed out: not saved, your draft is kept in this browser. Sign in in another window, and it is saved from here.
draft-gone = Not saved: you may no longer write in this project, or the task is gone. Your text is kept in this browser; copy it if you need it elsewhere.
draft-large = Not saved: the text is too long. It is kept in this browser; shorten it, or copy it.
draft-nowhere = Not saved anywhere: the server is out of reach and this browser keeps nothing. Leave this page open, or copy your text.
draft-choose = Not saved: another window has something else. Choose at the top of the page which text to go on with; this one is kept in this browser.
draft-adopted = Brought up to date: you went on with this task in another window.
draft-copy = Copy my text
draft-restored = What you typed here before was brought back from this browser.
other-label = Another text
other-draft = You wrote this in another window. The form holds what you wrote in this one. Which do you want to go on with?
other-answer = You have answered this task in another window already. Below is what you sent there, in the form what you wrote here. If you submit it, it replaces the other answer, which stays in the history.
other-local = You wrote this earlier in this browser, and it never reached the server. The form holds what came after it. Which do you want to go on with?
other-stored = From
other-take = Go on with this text
other-mine = Keep what is in the form
notice-answer-replaced = Your new answer replaces your earlier one, which stays in the history.
notice-draft-saved = Your draft is saved.

compare-title = Which answer is better?
compare-side = Answer { $label }
compare-legend = Which answer is better, and by how much?
compare-cut-off = It was cut off here: the answer had reached its greatest length.
compare-a-much = A much better
compare-a-better = A better
compare-a-slightly = A slightly better
compare-tie = Equal
compare-b-slightly = B slightly better
compare-b-better = B better
compare-b-much = B much better
compare-both-bad = Both bad
compare-no-choice = Choose one of the answers first, or that they are equal or both bad
compare-rationale = Why (optional)
compare-keys = A key selects; the same key again or Enter submits. 0 is equal too. W shows the texts as they were written.

skip = Skip
skip-why = Why can this not be answered?
skip-unclear = The prompt is unclear
skip-not-my-subject = It is not my subject
skip-language = I do not speak the language well enough
skip-harmful = It asks for something harmful
skip-broken = Something is broken: cut off, garbled
skip-other = Something else
skip-note = Note (optional)
skip-send = Skip this task
skip-no-reason = Choose a reason for skipping

none-title = Nothing is left for you here
none-coming-title = New tasks are on their way
none-coming = A model has just given new answers, and tasks are being made of them. This page looks again by itself.
none-demonstrate = Every prompt has its answer or is being answered by somebody. More may come.
none-compare = Every pair has been judged or is with somebody now. New pairs come when a model has been sampled.
none-back = To the project

prompts-title = Prompts
prompts-paste = Paste
prompts-paste-label = Prompts
prompts-paste-hint = An empty line separates one prompt from the next. At most { $most } characters fit here; send more as a file.
prompts-empty = Paste at least one prompt
prompts-add = Add
prompts-plain = plain text
prompts-plain-help = Given as plain text: models read it without their chat template, the answer right behind it. Prompts as messages go through the template, as chats do.
prompts-upload = Upload
prompts-upload-label = A file of JSON Lines
prompts-upload-hint = Rows of prompt; messages; prompt and completion; or prompt, chosen and rejected. .gz too, up to { $megabytes } MB. A prompt that is a text is read without the chat template, one that is a list of messages with it.
prompts-leave-out = Leave out rows that cannot be read
prompts-leave-out-hint = Otherwise one such row refuses the whole file. Either way they are listed with their lines and what is wrong.
prompts-imports = Imports
prompts-file-refused = Nothing was imported: { $error }
prompts-count =
    { $n ->
        [one] { $n } prompt
       *[other] { $n } prompts
    }
notice-prompts-added = New rows: { $value }.
notice-prompts-erased = The text of some paragraphs was removed for the law before and is not kept again. Left out: { $value }. All others are in the project.
notice-prompts-known = Nothing new: all of it is in the project already. Rows: { $value }.
pages = Pages
pages-previous = Previous
pages-next = Next
pages-here = { $n } of { $of }
export-title = Take the work with you
export-hint = JSON Lines in TRL's formats: the latest word of each person, without ties and skips.
export-demonstrations = Demonstrations
export-preferences = Preferences
