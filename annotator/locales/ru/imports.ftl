# Что не так с файлом строк. Английский текст есть и в исходниках: его печатает командная строка.

import-no-rows = в файле нет ни одной строки
import-line = строка { $line }: { $why }
import-not-utf8 = это не текст в кодировке UTF-8; сохраните файл в UTF-8
import-not-utf16 = не весь текст — в кодировке UTF-16
import-damaged = сжатый файл повреждён на строке { $line }; отправьте его ещё раз
import-other-format = это файл формата { $format }; сохраните данные как JSON Lines: по одному объекту JSON в строке
import-is-a-list = весь файл — один список JSON; запишите каждую строку данных отдельной строкой файла, без скобок вокруг и запятых между ними
import-is-spread = строка данных растянута на несколько строк файла; запишите каждую в одну строку
import-file-too-large = файл больше { $megabytes } МБ; отправьте его по частям
import-text-too-large = в распакованном виде файл больше { $megabytes } МБ; отправьте его по частям
import-too-many-lines = в файле больше { $n } строк; отправьте его по частям
import-line-too-long = строка длиннее { $megabytes } МБ
import-rows-refused = не читаются строки: { $n } из { $of }
import-all-refused = ни одна строка не читается
import-database-failed = база данных не смогла сохранить строки; почему — сказано в журнале сервиса
import-file-lost = сервис был остановлен, и файла больше нет; отправьте его ещё раз
import-project-deleted = проект тем временем удалили
import-broke = в сервисе произошёл сбой на этом файле; почему — сказано в его журнале
import-cut-off = сжатый файл обрывается на строке { $line }; отправьте его ещё раз
import-unreadable = строку { $line } не удалось прочитать: { $why }

row-not-json = это не JSON: { $why }
row-no-object = это не строка данных: нужен объект JSON в одну строку, например {"{"}"prompt": "…"{"}"}
row-unknown-field = поле `{ $field }` здесь не читается; в строке бывают `prompt`, `prompt` и `completion`, `messages` или `prompt`, `chosen` и `rejected`
row-missing-field = нет поля `{ $field }`; `chosen` и `rejected` нужны вместе, и к ним нужен `prompt`
row-fields-together = поле `{ $field }` нельзя сочетать с `{ $other }`
row-wrong-type = поле `{ $field }` — не текст и не список сообщений с `role` и `content`: { $why }
row-is-a-text = это текст
row-empty-field = поле `{ $field }` пустое
row-empty-message = в поле `{ $field }` пустое сообщение номер { $n }
row-too-many-messages = в поле `{ $field }` сообщений больше, чем { $most }: разделите их на несколько строк
row-erased = текст этой строки раньше был удалён по закону и снова не сохраняется
row-same-answers = поля `{ $one }` и `{ $other }` совпадают: ни одно не лучше
row-mixed-forms = поле `{ $field }` должно быть задано так же, как `prompt`: оба — тексты или оба — списки сообщений
row-not-one-answer = поле `{ $field }` должно быть одним сообщением ассистента
row-no-answer = поле `messages` должно заканчиваться сообщением ассистента, а перед ним должно быть хотя бы одно другое

json-at = { $what }, символ { $at }
json-at-line = { $what }, строка { $line }, символ { $column }
json-ends-in-list = обрывается посреди списка
json-ends-in-object = обрывается посреди объекта
json-ends-in-string = обрывается посреди текста в кавычках
json-ends-in-value = обрывается посреди значения
json-no-colon = не хватает `:`
json-list-goes-on = не хватает `,` или `]`
json-object-goes-on = не хватает `,` или `{"}"}`
json-no-word = ожидается `true`, `false` или `null`
json-no-value = ожидается значение
json-bad-escape = неизвестное сочетание после обратной косой черты
json-bad-number = неверно записано число
json-number-too-large = слишком большое число
json-not-unicode = нет такого символа в Юникоде
json-half-a-character = половина символа Юникода без второй половины
json-escape-ends = обрывается код символа
json-key-no-string = имя поля должно быть текстом в кавычках
json-too-deep = слишком глубокая вложенность
json-trailing-comma = лишняя запятая в конце
json-trailing-characters = после конца стоит что-то лишнее
json-too-many-values = слишком много значений
json-control-character = управляющий символ внутри текста в кавычках
json-missing-field = нет поля { $name }
json-duplicate-field = поле { $name } встречается дважды
json-unknown-field = неизвестное поле { $name }, ожидается { $expected }
json-unknown-variant = неизвестное значение { $name }, ожидается { $expected }
json-wrong-type = ожидается { $expected }, а здесь { $found }
json-null = `null`
json-boolean = `true` или `false`
json-number = число
json-string = текст
json-list = список
json-object = объект

# Страница импорта.

import-title = Импорт
import-pasted = вставленный текст
import-state-waiting = Ждёт своей очереди
import-state-checking = Проверяется
import-state-storing = Загружается
import-state-done = Загружено
import-state-refused = Отклонено
import-state-cancelled = Остановлено
import-state-failed = Не завершено
import-stopping = Сейчас остановится.
import-lines-so-far =
    { $n ->
        [one] { $n } строка проверена
        [few] { $n } строки проверены
       *[other] { $n } строк проверено
    }
import-progress = Строк: { $n } из { $of }
import-need-not-wait = Ждать не нужно: загрузка продолжится и без этой страницы, и после перезапуска сервиса.
import-nothing-stored = Ничего не загружено.
import-stored-stays = Строки, загруженные до этого, остаются. Чтобы продолжить, отправьте тот же файл ещё раз: ничего не удвоится.
import-new = Новое: { $what }
import-known = Уже было или встречается в файле не раз
import-left-out = Пропущено
import-erased = Из них удалены раньше по закону
import-left-out-title = Пропущенные строки
import-refused-title = Строки, которые не читаются
import-refused-first = Первые { $n } из { $of }:
import-refused-line = Строка
import-refused-why = Что не так
import-mend = Исправьте файл и отправьте его снова или отправьте как есть, отметив «{ prompts-leave-out }».
import-cancel = Остановить
import-to-prompts = К запросам
notice-import-cancelled = Импорт останавливается.
