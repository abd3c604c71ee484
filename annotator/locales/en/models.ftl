models-title = Models
models-none = There is no model yet. Start the service with --base FOLDER to offer a base, then fine-tune it.
model-name = Name
model-kind = Kind
model-kind-base = base
model-kind-sft = fine-tuned
model-kind-reward = reward model
model-kind-policy = policy
model-parameters = Parameters
model-parent = Made from
model-no-parent = Nothing: it was given to the service
model-run = Run
model-dataset = Data
model-made = Added
model-download = Download ({ $size })
model-readers = Runs that read it
model-children = Made from it
model-files = Files
model-files-help = A Hugging Face folder: transformers, vLLM and llama.cpp's converter load it as it is.

facts-on-disk = { $size } on disk
facts-context = Context
facts-tokens = { $n ->
    [one] { $n } token
   *[other] { $n } tokens
}
facts-chat-template = Chat template
facts-chat-template-there = Yes
facts-chat-template-missing = None: it reads plain text, so a prompt and its answer stand one after the other. Chats and data in messages need a model with a template.
facts-languages = Languages
facts-languages-unknown = Not stated: there is no model card that names them
facts-memory = Memory, about
facts-memory-train = { $weights } GB for weights, gradients and the optimiser. A batch adds to it: { $total } GB in all where { $n ->
    [one] it is { $n } sequence
   *[other] its { $n } sequences are
} of { $length } tokens{ $n ->
    [one] {""}
   *[other] {" "}each
}. Shorter texts need less.
facts-memory-sample = { $total } GB with { $n ->
    [one] { $n } sequence
   *[other] { $n } sequences
} of { $length } tokens at once; { $weights } GB of it for the model.
