# What runs, workers and the trainer say. The English stands in their sources too.

technical-detail = { $text }
what-because-why = { $what }: { $why }

system-not-found = No such file or directory
system-no-permission = Permission denied
system-no-directory = Not a directory
system-disk-full = No space left on device

artifact-missing = { $what } is not at { $folder }: worker and web app must have the same artifacts folder (ATTUNE_ARTIFACTS)
artifact-changed = { $what } was changed on disk after it was stored: the files at { $folder } no longer have its hash; restore the folder from a backup, or make it anew
artifact-unreadable = { $what } cannot be read at { $folder }: { $why }

trainer-missing = no trainer at { $path }: build it (`cargo build -p trainer`), name it with --trainer PATH, or say --worker none and start `trainer worker` elsewhere
at-path = { $path }: { $why }
live-no-word = the model's process ended without a word; the memory may not suffice

cannot-read = cannot read { $path }
