nav-erasures = Erasures
erasures-title = Erasures
erasures-lead = Where the law asks for it, a text or who somebody was can be removed for good. Their hash, the reason and the list of what used them stay.
erasures-words = Find a text
erasures-words-hint = Some words of it in their order, or its SHA-256. Large and small letters are the same, and so are accents however they were typed.
erasures-find = Find
erasures-found =
    { $n ->
        [0] No text has these words
        [one] One text has these words
       *[other] { $n } texts have these words
    }
erasures-found-part =
    { $n ->
        [one] One text of more that have these words, the newest first
       *[other] { $n } texts of more that have these words, the newest first
    }
erasures-newest = The newest
erasures-done = What was erased
erasures-none = Nothing yet.
erasure-what = What
erasure-of-text = Text
erasure-of-person = Person
erasure-reason = Reason
erasure-reason-hint = It is kept. Do not repeat here what is to be erased.
erasure-reason-missing = Say why: the reason is kept in place of what is erased
erasure-reason-long = At most { $n } characters
erasure-disk = On the disk
erasure-finished = nothing left
erasure-waiting = being removed
erasure-text-title = A text
erasure-uses = Where it is used
erasure-prompts =
    { $n ->
        [one] One prompt
       *[other] { $n } prompts
    }
erasure-judgements =
    { $n ->
        [one] One written answer or remark
       *[other] { $n } written answers or remarks
    }
erasure-answers =
    { $n ->
        [one] One model answer
       *[other] { $n } model answers
    }
erasure-versions =
    { $n ->
        [one] One dataset version
       *[other] { $n } dataset versions
    }
erasure-samples =
    { $n ->
        [one] One file of sampled answers
       *[other] { $n } files of sampled answers
    }
erasure-models =
    { $n ->
        [one] One model that learnt from it
       *[other] { $n } models that learnt from it
    }
erasure-do = Erase for good
erasure-lead = The text goes from the database, from drafts, logs of runs and files, and cannot be brought back. Copies that differ only by blanks or by how their letters are composed go with it. Prompts with it are withdrawn. The dataset versions and sampled files above lose their files: nothing can be trained on them any more, and runs that read them are stopped; a new version can be frozen without the text. Models stay. Backups that are kept elsewhere still have it: a restore erases it again where it finds the newest `erasures.jsonl` or is given it with `--erasures`, but the backups themselves are yours to remove.
erasure-shared-system = Its system message is that of other prompts, too. It goes with this prompt, and stays everywhere else.
erasure-in-guidelines = Words of it stand in the guidelines of these projects, which are other people's text and stay as they are:
erasure-guidelines-too = Take its words out of these guidelines, too
text-erased-on = This text was removed on { $at } UTC.
texts-erased-on = Texts of this page were removed on { $at } UTC.
dataset-erased-on = Texts of this version were removed on { $at } UTC, and its files with them. Nothing can be trained on it any more; the next run freezes a new version without them.
problem-dataset-erased = Texts of this dataset version were removed: freeze a new one
dataset-version-erased = The dataset version that this run reads is gone, because texts in it were removed: launch a new run, which freezes a new version.
notice-erased = Erased. What is left of it on the disk goes within minutes.
erase-person-title = Erase who { $name } is?
erase-person-lead = Name, login, password, roles and drafts go for good, and nobody can sign in to the account any more. What remains is a number beside their work.
erase-person-rest-title = Erase what { $name } wrote?
erase-person-rest-lead = Who this was is erased already. Answers and remarks that they alone wrote go now, too. Guidelines that quote them stay: look through those yourself.
erase-person-texts = Erase what they wrote, too
erase-person-texts-hint = Answers and remarks that they alone wrote. Without it these stay, under the number. Guidelines that quote them stay in any case: look through those yourself.
erased-person = Erased person { $id }
erase-person = Erase…
erase-person-rest = Erase what they wrote…
erase-own-account = You cannot erase your own account. Ask another administrator.
erase-last-administrator = This is the last administrator. Make another one first.
person-export = Download what is kept of them
settings-data = Your data
settings-export = Download everything that is kept of you
settings-export-hint = Your account, roles, answers, drafts and sign-ins, as JSON lines.
judgement-erase = Erase this text…
