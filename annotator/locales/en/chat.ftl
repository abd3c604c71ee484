chat-open = Chat
chat-title = Chat with { $model }
chat-lead = Nothing of this is stored on the server, and the model learns nothing from it.
chat-conversation = Conversation
chat-to-model = About this model
chat-you = You
chat-message = Your message
chat-send = Send
chat-stop = Stop
chat-again = Answer again
chat-clear = New conversation
chat-settings = Settings
chat-system = System prompt
chat-system-help = Instructions for the whole conversation. Left empty, the model's own template decides.
chat-starting = The model is being loaded or has others to answer first: { $seconds } s
chat-writing = The model writes …
chat-measured = { $tokens } tokens · { $seconds } s · { $rate } tokens/s
chat-cut = Cut off at the longest answer, which the settings can raise.
chat-stopped = Stopped.
chat-empty = Write a message first.
chat-turns-damaged = What was said so far did not arrive whole. Begin a new conversation; your message is still here.
chat-broken = The answer broke off. Ask again; the service's log says what happened.
chat-signed-out = You are signed out. Reload the page and sign in; the conversation stays in this window.
chat-too-long = The conversation is longer than the model reads. Begin a new one, or shorten the message.
chat-no-template = This model has no chat template, so it cannot be talked to. Fine-tune it on conversations, or add a chat_template.jinja to its folder.
chat-bad-temperature = The temperature must be from 0 to 2.
chat-overloaded = Too many people are waiting for this model. Try again in a moment.
chat-too-many = You have as many answers and runs open as one person may. Close some of those pages, or wait until an answer is done.
chat-busy = { $most ->
    [one] Another model is answering just now, and this service loads one at a time. Try again in a moment, or start the service with --live-models 2.
   *[other] { $most } other models are answering just now, and the service loads no more at once. Try again in a moment, or raise --live-models.
}
chat-off = This service loads no model to talk to: it was started with --live-models 0.
chat-failed = The model cannot be loaded: { $reason }
chat-reward = A reward model scores answers; it cannot write any. Chat with a base, a fine-tuned model or a policy.
chat-not-json = Send JSON, with Content-Type: application/json.
