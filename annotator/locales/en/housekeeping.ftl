nav-disk = Disk
hangs-on-it = What hangs on it
links-more = and { $n } more
delete-not = Keep it
error-gone-title = It was deleted
error-gone-advice = Its files have left the disk. The model's page says when and by whom, and what came of it.

model-deleted = deleted
chat-deleted = This model was deleted: nobody can talk to it any more.
model-deleted-by = Deleted by { $by } on { $at } UTC.
model-deleted-by-service = Deleted on { $at } UTC with its project.
model-deleted-keeps = Its weights have left the disk; where it came from and what came of it stays.
model-size = Size
model-shared = shared
models-total = The project's own models take { $size } on the disk.
models-total-help = Weights that several models share are stored, and counted, once. Bases belong to the whole installation and do not count here.
models-deleted = Deleted models ({ $n })
model-delete = Delete the model
model-delete-title = Delete { $name }?
model-delete-lead = Its weights leave the disk for good: nobody can download it, start from it or let it answer any more. Its page stays, with where it came from and what came of it.
model-delete-needed =
    { $n ->
        [one] It cannot be deleted now: a run that waits or works needs it. Wait until it has ended, or cancel it.
       *[other] It cannot be deleted now: { $n } runs that wait or work need it. Wait until they have ended, or cancel them.
    }
model-delete-nothing = Nothing: no run has read it, nothing was made from it, and it has written no answers.
model-delete-children =
    { $n ->
        [one] One model was made from it. It keeps working:
       *[other] { $n } models were made from it. They keep working:
    }
model-delete-readers =
    { $n ->
        [one] One run has read it. Its record stays, but it can no longer be continued, nor run again with this model:
       *[other] { $n } runs have read it. Their records stay, but they can no longer be continued, nor run again with this model:
    }
model-delete-answers =
    { $n ->
        [one] It has written one answer, which stays.
       *[other] It has written { $n } answers, which stay.
    }
model-delete-comparisons =
    { $judged ->
        [0] People have judged no comparison with them yet
        [one] People have judged one comparison with them
       *[other] People have judged { $judged } comparisons with them
    }, { $waiting ->
        [0] and none waits for people.
        [one] and one more waits for people, who can go on with it.
       *[other] and { $waiting } wait for people, who can go on with them.
    }
model-delete-frees = Deleting it frees { $size }, at once or within a quarter of an hour.
model-delete-frees-nothing = Deleting it frees nothing on the disk: other models have the same weights, which are stored once.
model-delete-base = It is a base and belongs to the whole installation: no project can start from it any more. If the service is started with --base on the same folder again, it comes back.
notice-model-deleted = { $value } is deleted.
problem-model-deleted = The model { $name }, which this run used, was deleted: choose another

project-delete = Delete the project
project-delete-title = Delete the project { $name }?
project-delete-lead = From that moment nobody sees it, you included, and its tasks, runs and pages are gone. For { $n } days an administrator can restore it from the start page, with everything.
project-delete-after = After that its models and dataset files leave the disk for good. What people wrote stays in the database.
project-delete-people =
    { $n ->
        [0] Nobody has a role in it.
        [one] One person has a role in it.
       *[other] { $n } people have roles in it.
    }
project-delete-judgements =
    { $n ->
        [one] People have said one thing
       *[other] People have said { $n } things
    } { $prompts ->
        [one] about one prompt.
       *[other] about { $prompts } prompts.
    }
project-delete-leased =
    { $n ->
        [0] Nobody is at a task right now
        [one] One task is in somebody's hands right now
       *[other] { $n } tasks are in somebody's hands right now
    }, { $drafts ->
        [0] and no answer is begun and not sent.
        [one] and one answer is begun and not sent: what is sent after the deletion is kept all the same.
       *[other] and { $drafts } answers are begun and not sent: what is sent after the deletion is kept all the same.
    }
project-delete-versions =
    { $n ->
        [one] It has one frozen dataset version.
       *[other] It has { $n } frozen dataset versions.
    }
project-delete-runs =
    { $n ->
        [one] It has one run.
       *[other] It has { $n } runs.
    }
project-delete-live-runs =
    { $n ->
        [one] One of them waits or works and will be stopped.
       *[other] { $n } of them wait or work and will be stopped.
    }
project-delete-models =
    { $n ->
        [one] It has one model.
       *[other] It has { $n } models.
    }
project-delete-disk = What only this project holds takes { $size } on the disk.
project-delete-type = Type the project's name to confirm
project-delete-other-name = This is not the project's name
project-deleted = deleted
projects-deleted = Deleted projects
projects-deleted-help = Nobody sees them. Restored, they are as they were; their runs stay stopped and can be continued.
project-deleted-by = Deleted by { $by } on { $at } UTC.
project-deleted-until = Its files stay until { $until } UTC.
project-restore = Restore
notice-project-deleted = { $value } is deleted. It can be restored below.
notice-project-restored = { $value } is back.
notice-kept-of-deleted = What you wrote is kept, but the project was deleted meanwhile.

disk-title = Disk
disk-free = free of { $size }
disk-held = held by models, data and runs
disk-going = will go by itself
disk-unknown = unknown
disk-folder = Everything is in
disk-help = What nothing needs any more goes by itself within a quarter of an hour, what programs that were stopped left behind within a day.
disk-unknown-help = This database knows nothing of some of the folders there: they are another installation's, or of a database that was replaced, and are left alone.
disk-holders = Who holds what
disk-bases = Bases
disk-answers = Answers
disk-checkpoints = Checkpoints
disk-sum = Together
disk-shared-help = Content is stored once, and the sum above counts it once; where several hold it, each of them is shown with it. Deleting it in one place frees nothing. Checkpoints go when their run succeeds, or two weeks after it ended.
disk-largest = The largest models
disk-delete = Delete
