# What is wrong with a file of rows. The English stands in the sources too, for the command line.

import-no-rows = there are no rows in it
import-line = line { $line }: { $why }
import-not-utf8 = it is not UTF-8 text; save the file as UTF-8
import-not-utf16 = it is not UTF-16 text throughout
import-damaged = the compressed file is damaged, in line { $line }; send it again
import-other-format = this is a file of { $format }; save its rows as JSON Lines: a JSON object in every line
import-is-a-list = the file is one JSON list; write each row into a line of its own, without brackets around them and commas between them
import-is-spread = a row is spread over several lines; write each row into one line of its own
import-file-too-large = the file is larger than { $megabytes } MB; send it in parts
import-text-too-large = unpacked, the file is larger than { $megabytes } MB; send it in parts
import-too-many-lines = the file has more than { $n } lines; send it in parts
import-line-too-long = the line is longer than { $megabytes } MB
import-rows-refused = { $n } of { $of } rows cannot be read
import-all-refused = none of the rows can be read
import-database-failed = the database could not store the rows; the log of the service says why
import-file-lost = the service was stopped, and the file is no longer there; send it again
import-project-deleted = its project was deleted meanwhile
import-broke = the service broke over the file; its log says why
import-cut-off = the compressed file ends too early, in line { $line }; send it again
import-unreadable = line { $line } cannot be read: { $why }

row-not-json = not JSON: { $why }
row-no-object = not a row, which is a JSON object in one line, such as {"{"}"prompt": "…"{"}"}
row-unknown-field = field `{ $field }` is not read; a row has `prompt`, `prompt` and `completion`, `messages`, or `prompt`, `chosen` and `rejected`
row-missing-field = field `{ $field }` is missing; `chosen` and `rejected` need each other and a `prompt`
row-fields-together = field `{ $field }` does not go with `{ $other }`
row-wrong-type = field `{ $field }` is neither a text nor a list of messages with `role` and `content`: { $why }
row-is-a-text = it is a text
row-empty-field = field `{ $field }` is empty
row-empty-message = message { $n } of field `{ $field }` is empty
row-too-many-messages = field `{ $field }` has more than { $most } messages: share them out over several rows
row-erased = its text was removed for the law before, and is not kept again
row-same-answers = fields `{ $one }` and `{ $other }` say the same: neither is better
row-mixed-forms = field `{ $field }` must be given like `prompt`: both as texts or both as lists of messages
row-not-one-answer = field `{ $field }` must be one message of the assistant
row-no-answer = field `messages` must end with a message of the assistant, after at least one other

json-at = { $what } at character { $at }
json-at-line = { $what } at line { $line } column { $column }
json-ends-in-list = EOF while parsing a list
json-ends-in-object = EOF while parsing an object
json-ends-in-string = EOF while parsing a string
json-ends-in-value = EOF while parsing a value
json-no-colon = expected `:`
json-list-goes-on = expected `,` or `]`
json-object-goes-on = expected `,` or `{"}"}`
json-no-word = expected ident
json-no-value = expected value
json-bad-escape = invalid escape
json-bad-number = invalid number
json-number-too-large = number out of range
json-not-unicode = invalid unicode code point
json-half-a-character = lone leading surrogate in hex escape
json-escape-ends = unexpected end of hex escape
json-key-no-string = key must be a string
json-too-deep = recursion limit exceeded
json-trailing-comma = trailing comma
json-trailing-characters = trailing characters
json-too-many-values = too many values
json-control-character = control character (\u0000-\u001F) found while parsing a string
json-missing-field = missing field { $name }
json-duplicate-field = duplicate field { $name }
json-unknown-field = unknown field { $name }, expected { $expected }
json-unknown-variant = unknown variant { $name }, expected { $expected }
json-wrong-type = expected { $expected }, found { $found }
json-null = null
json-boolean = true or false
json-number = a number
json-string = a string
json-list = a list
json-object = an object

# The page of an import.

import-title = Import
import-pasted = pasted text
import-state-waiting = Waiting for its turn
import-state-checking = Being checked
import-state-storing = Being imported
import-state-done = Imported
import-state-refused = Refused
import-state-cancelled = Stopped
import-state-failed = Not finished
import-stopping = Stops in a moment.
import-lines-so-far =
    { $n ->
        [one] { $n } line so far
       *[other] { $n } lines so far
    }
import-progress = { $n } of { $of } rows
import-need-not-wait = You need not wait: it goes on when you leave this page, and after a restart of the service.
import-nothing-stored = Nothing was imported.
import-stored-stays = The rows that were imported until then stay. Send the same file again to go on: what is there is not doubled.
import-new = New: { $what }
import-known = There before, or more than once in the file
import-left-out = Left out
import-erased = Of these, erased for the law before
import-left-out-title = Rows that were left out
import-refused-title = Rows that cannot be read
import-refused-first = The first { $n } of { $of }:
import-refused-line = Line
import-refused-why = What is wrong
import-mend = Mend the file and send it again, or send it as it is with “{ prompts-leave-out }” ticked.
import-cancel = Stop
import-to-prompts = To the prompts
notice-import-cancelled = The import stops.
